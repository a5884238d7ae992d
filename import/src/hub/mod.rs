//! Models of the Hugging Face hub, in the cache that other programs use too.
//!
//! The crate `hf-hub` is not used: its synchronous form compares no checksums, and its newest one brings an
//! asynchronous runtime.

mod cache;
mod checksum;
mod client;
mod error;
mod id;
mod select;
mod transfer;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use etcetera::BaseStrategy;

pub use client::Token;
pub use error::HubError;
pub use id::HubId;

use crate::Part;
use cache::Store;
use checksum::Digest;
use client::{Client, Listing};
use transfer::Work;

const ENDPOINT: &str = "https://huggingface.co";
/// Files that are on their way at once.
const JOBS: usize = 4;

/// How often and how long a download is tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// Tries to reach the server at all.
    pub contact: u32,
    /// Tries in a row that bring not one byte, once it was reached.
    pub attempts: u32,
    /// Whole files with a wrong checksum.
    pub wrong: u32,
    /// Before the second try; doubled before each further one.
    pub first_wait: Duration,
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (first_wait, longest_wait) = (Duration::from_millis(500), Duration::from_secs(30));
        Self { contact: 5, attempts: 8, wrong: 3, first_wait, longest_wait }
    }
}

/// A server, a cache, and who asks.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Address of the server, without a slash at its end.
    pub endpoint: String,
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Whether only what is in the cache is used.
    pub offline: bool,
    pub patience: Patience,
    /// Who asks.
    pub token: Option<Token>,
}

/// What is wanted of a model.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// What a run needs of these components; of all if there are none.
    Parts(Vec<Part>),
    /// Files by their paths.
    Files(Vec<String>),
    /// All files.
    All,
}

/// A file of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct HubFile {
    /// In the repository, with `/` between names.
    pub path: String,
    pub bytes: u64,
    /// Bytes of it that are in the cache.
    pub present: u64,
    digest: Digest,
}

impl HubFile {
    /// SHA-256 of a large file, git's SHA-1 of a small one.
    pub fn checksum(&self) -> &str {
        self.digest.text()
    }
}

/// Files to be brought into the cache.
#[derive(Clone, Debug)]
pub struct Pull {
    pub id: HubId,
    /// Hash of the commit that the revision stands for.
    pub commit: String,
    /// The folder in which the files have their names.
    pub folder: PathBuf,
    pub files: Vec<HubFile>,
}

impl Pull {
    /// Of all files, and of what is there already.
    pub fn bytes(&self) -> (u64, u64) {
        let sum = |of: fn(&HubFile) -> u64| self.files.iter().map(of).fold(0, u64::saturating_add);
        (sum(|file| file.bytes), sum(|file| file.present))
    }
}

/// What happens during a download.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pulled<'a> {
    /// So many bytes are there, of those that the files have.
    Bytes { done: u64, total: u64 },
    /// A file is whole and has its name.
    File(&'a HubFile),
    /// Something went wrong, and is tried again after a while.
    Again(&'a str),
    /// Nothing new; the time to break off.
    Idle,
}

/// From a transfer's thread: bytes of a file that are there, or its end.
enum Message {
    Bytes(usize, u64),
    Again(String),
    End(usize, Result<(), HubError>),
}

impl Hub {
    /// As the variables that the hub's own programs know say: `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_TOKEN`,
    /// `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// [`HubError::NoCache`].
    pub fn from_env() -> Result<Self, HubError> {
        let home = match variable("HF_HOME") {
            Some(home) => PathBuf::from(home),
            None => {
                let base = etcetera::base_strategy::Xdg::new().map_err(|_| HubError::NoCache)?;
                base.cache_dir().join("huggingface")
            }
        };
        let cache = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE"));
        let file = variable("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
        let token = variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN"));
        let token = token.or_else(|| read_token(&file)).and_then(|token| Token::new(&token));
        let offline = variable("HF_HUB_OFFLINE").map(|value| value.to_ascii_lowercase());
        Ok(Self {
            endpoint: variable("HF_ENDPOINT")
                .unwrap_or_else(|| ENDPOINT.to_owned())
                .trim_end_matches('/')
                .to_owned(),
            cache: cache.map_or_else(|| home.join("hub"), PathBuf::from),
            offline: offline.is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.as_str())),
            patience: Patience::default(),
            token,
        })
    }

    /// The folder of the model's revision in the cache, with whatever was downloaded of it.
    pub fn cached(&self, id: &HubId) -> Option<PathBuf> {
        Store::new(&self.cache, id).known(id.revision())
    }

    /// Asks the server what is wanted of a model, and looks what of it is there.
    ///
    /// # Errors
    /// [`HubError`], whatever the server refuses or the model lacks.
    pub fn plan(&self, id: &HubId, wanted: &Wanted) -> Result<Pull, HubError> {
        if self.offline {
            return Err(HubError::Offline { id: id.to_string(), cache: self.cache.clone() });
        }
        let (client, store) = (Client::new(&self.endpoint, self.token.clone()), Store::new(&self.cache, id));
        let stop = AtomicBool::new(false);
        let patience = Patience { attempts: self.patience.contact, ..self.patience };
        let (commit, quiet) = ("", &|_: &str| {});
        let mut work =
            Work { client: &client, store: &store, id, commit, patience, stop: &stop, note: quiet };
        let listing = work.patiently("the list of files", || client.listing(id));
        let listing = listing.map_err(|error| self.unreachable(error))?;
        work.commit = &listing.commit;
        let files = choose(id, &listing, wanted)?.into_iter().map(|listed| {
            let (bytes, digest) = match &listed.contents {
                Some(contents) => contents.clone(),
                None => {
                    work.patiently(&listed.path, || client.contents(id, &listing.commit, &listed.path))?
                }
            };
            let whole = store.has(&listing.commit, &listed.path, digest.text(), bytes);
            let present = if whole { bytes } else { store.started(digest.text()).min(bytes) };
            Ok(HubFile { path: listed.path.clone(), bytes, present, digest })
        });
        let files = files.collect::<Result<_, HubError>>()?;
        Ok(Pull { id: id.clone(), folder: store.snapshot(&listing.commit), commit: listing.commit, files })
    }

    /// Nothing was reached, however often it was tried.
    fn unreachable(&self, error: HubError) -> HubError {
        match error {
            HubError::GaveUp { detail, .. } => {
                HubError::Unreachable { endpoint: self.endpoint.clone(), detail }
            }
            error => error,
        }
    }

    /// Brings files into the cache, several at a time, each compared with its checksum, and gives the folder in which
    /// they have their names. What a broken run leaves is gone on from. `observe` is called at least every 100 ms
    /// and may break the work.
    ///
    /// # Errors
    /// The first file's that fails; [`HubError::Interrupted`] once `observe` breaks.
    pub fn pull(
        &self,
        pull: &Pull,
        observe: &mut dyn FnMut(Pulled<'_>) -> ControlFlow<()>,
    ) -> Result<PathBuf, HubError> {
        let stop = Arc::new(AtomicBool::new(false));
        let messages = self.start(pull, &stop);
        let result = watch(pull, &messages, observe);
        // Threads that wait for a server notice when it answers; nothing waits for them.
        stop.store(true, Ordering::Relaxed);
        result?;
        Store::new(&self.cache, &pull.id).refer(pull.id.revision(), &pull.commit)?;
        Ok(pull.folder.clone())
    }

    /// Threads that take the files in turn.
    fn start(&self, pull: &Pull, stop: &Arc<AtomicBool>) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel();
        let queue: Vec<(usize, HubFile)> = pull.files.iter().cloned().enumerate().rev().collect();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..JOBS.min(pull.files.len()) {
            let (hub, pull, stop) = (self.clone(), pull.clone(), stop.clone());
            let (sender, queue) = (sender.clone(), queue.clone());
            thread::spawn(move || {
                let client = Client::new(&hub.endpoint, hub.token.clone());
                let store = Store::new(&hub.cache, &pull.id);
                let (id, commit, patience) = (&pull.id, pull.commit.as_str(), hub.patience);
                let note = |text: &str| drop(sender.send(Message::Again(text.to_owned())));
                let work =
                    Work { client: &client, store: &store, id, commit, patience, stop: &stop, note: &note };
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                while let Some((index, file)) = next() {
                    let tell = |bytes| drop(sender.send(Message::Bytes(index, bytes)));
                    let result = work.fetch(&file, &tell);
                    let failed = result.is_err();
                    if sender.send(Message::End(index, result)).is_err() || failed {
                        return;
                    }
                }
            });
        }
        receiver
    }
}

/// Passes on what the threads tell until all files are there.
fn watch(
    pull: &Pull,
    messages: &mpsc::Receiver<Message>,
    observe: &mut dyn FnMut(Pulled<'_>) -> ControlFlow<()>,
) -> Result<(), HubError> {
    let total = pull.bytes().0;
    let mut there: Vec<u64> = pull.files.iter().map(|file| file.present).collect();
    let mut left = pull.files.len();
    while left > 0 {
        let again;
        let event = match messages.recv_timeout(Duration::from_millis(100)) {
            Ok(Message::Bytes(index, bytes)) => {
                there[index] = bytes;
                Pulled::Bytes { done: there.iter().sum(), total }
            }
            Ok(Message::End(index, result)) => {
                result?;
                left -= 1;
                Pulled::File(&pull.files[index])
            }
            Ok(Message::Again(text)) => {
                again = text;
                Pulled::Again(&again)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => Pulled::Idle,
            // A thread that panicked.
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(HubError::Interrupted),
        };
        if observe(event).is_break() {
            return Err(HubError::Interrupted);
        }
    }
    Ok(())
}

fn choose<'a>(
    id: &HubId,
    listing: &'a Listing,
    wanted: &Wanted,
) -> Result<Vec<&'a client::Listed>, HubError> {
    let name = id.repository();
    let paths: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
    let chosen = match wanted {
        Wanted::All => return Ok(listing.files.iter().collect()),
        Wanted::Parts(parts) => select::needed(&name, &paths, parts)?,
        Wanted::Files(files) => {
            if let Some(path) = files.iter().find(|path| !paths.contains(&path.as_str())) {
                return Err(HubError::NoFile { id: name, path: path.clone() });
            }
            files.iter().cloned().collect()
        }
    };
    Ok(listing.files.iter().filter(|file| chosen.contains(&file.path)).collect())
}

/// The number of files in a hub's answer; for fuzzers.
#[doc(hidden)]
pub fn hub_listing(body: &[u8]) -> Result<usize, String> {
    Listing::parse(body).map(|listing| listing.files.len())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Longest token that is read, in bytes.
const MAX_TOKEN: u64 = 1 << 10;

fn read_token(path: &Path) -> Option<String> {
    let bytes = crate::bounded::read(path, MAX_TOKEN).ok()??;
    Some(String::from_utf8(bytes).ok()?.trim().to_owned())
}
