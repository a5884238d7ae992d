//! Models of the Hugging Face hub: brought into the cache, and found there.

use std::path::{Path, PathBuf};

use wan_import::{Hub, HubError, Patience, Pull, Pulled, Wanted};
pub use wan_import::{HubFile, HubId};
use wan_pipeline::CancelToken;

use super::{EngineError, convert::PartChoice};

/// What is wanted of a model; of files and components only one is given.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// All that a run needs if empty.
    pub only: &'a [PartChoice],
    /// Paths in the repository.
    pub files: &'a [String],
    /// Every file.
    pub all: bool,
}

/// What happens meanwhile.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    Bytes { done: u64, total: u64 },
    File(&'a HubFile),
    Note(String),
}

/// A download that was asked for.
#[derive(Debug)]
pub struct Download {
    hub: Hub,
    pub pull: Pull,
}

impl Download {
    /// Asks the hub.
    pub fn plan(id: &HubId, request: &Request<'_>) -> Result<Self, EngineError> {
        let hub = Hub::from_env()?;
        let wanted = match request {
            Request { all: true, .. } => Wanted::All,
            Request { files: [], only, .. } => Wanted::Parts(only.iter().map(|&part| part.into()).collect()),
            Request { files, .. } => Wanted::Files(files.to_vec()),
        };
        let pull = hub.plan(id, &wanted)?;
        Ok(Self { hub, pull })
    }

    /// Bytes that are still to come.
    pub fn missing(&self) -> u64 {
        let (all, present) = self.pull.bytes();
        all - present
    }

    /// Downloads what is missing; gives the folder in which the files have their names.
    pub fn run(
        &self,
        cancel: &CancelToken,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<PathBuf, EngineError> {
        check_space(&self.hub.cache, self.missing())?;
        let folder = self.hub.pull(&self.pull, &mut |event| {
            match event {
                Pulled::Bytes { done, total } => observe(Event::Bytes { done, total }),
                Pulled::File(file) => observe(Event::File(file)),
                Pulled::Again(text) => observe(Event::Note(text.to_owned())),
                Pulled::Idle => {}
            }
            super::convert::go_on(cancel)
        });
        Ok(folder?)
    }
}

/// The folder of a model that was downloaded before; nobody is asked.
pub fn downloaded(id: &HubId) -> Result<PathBuf, EngineError> {
    let hub = Hub::from_env()?;
    hub.cached(id).ok_or_else(|| EngineError {
        message: format!("there is no folder {id}, and no model of that name in {}", hub.cache.display()),
        hint: Some(format!("give the path of a local folder, or run `wan pull {id}`")),
        usage: true,
        interrupted: false,
    })
}

/// The folder of a model, with all that a run needs of it. Without a network, what is there has to do.
pub fn fetch(
    id: &HubId,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<PathBuf, EngineError> {
    let hub = Hub::from_env()?;
    let cached = hub.cached(id);
    // Whoever has the model does not want to wait long for a hub that is away.
    let contact = if cached.is_some() { 2 } else { hub.patience.contact };
    let patience = Patience { contact, ..hub.patience };
    let pull = Hub { patience, ..hub.clone() }.plan(id, &Wanted::Parts(Vec::new()));
    match (pull, cached) {
        (Err(HubError::Offline { .. }), Some(folder)) => Ok(folder),
        (Err(error @ HubError::Unreachable { .. }), Some(folder)) => {
            observe(Event::Note(format!("{error}; {id} is used as it was downloaded before")));
            Ok(folder)
        }
        (pull, _) => Download { pull: pull?, hub }.run(cancel, observe),
    }
}

/// Refuses what cannot fit before any of it is there.
#[cfg(unix)]
fn check_space(cache: &Path, bytes: u64) -> Result<(), EngineError> {
    let there = cache.ancestors().find(|folder| folder.exists());
    let Some(free) = there.and_then(|folder| rustix::fs::statvfs(folder).ok()) else { return Ok(()) };
    let free = free.f_bavail.saturating_mul(free.f_frsize);
    if bytes <= free {
        return Ok(());
    }
    let [needed, free] = [bytes, free].map(|bytes| bytes as f64 / 1e9);
    Err(EngineError {
        message: format!(
            "{needed:.2} GB are to be downloaded to {}, where {free:.2} GB are free",
            cache.display()
        ),
        hint: Some("free some space, or set HF_HOME to another disk".to_owned()),
        usage: false,
        interrupted: false,
    })
}

#[cfg(not(unix))]
fn check_space(_: &Path, _: u64) -> Result<(), EngineError> {
    Ok(())
}

impl From<HubError> for EngineError {
    fn from(error: HubError) -> Self {
        let usage = matches!(
            error,
            HubError::Id { .. }
                | HubError::NoFile { .. }
                | HubError::NoFiles { .. }
                | HubError::Package { .. }
        );
        Self {
            message: error.to_string(),
            hint: error.hint(),
            usage,
            interrupted: matches!(error, HubError::Interrupted),
        }
    }
}
