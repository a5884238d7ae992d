//! `wan pull`: a model of the hub into the cache, and the models that other commands name so.

use std::time::Instant;

use serde_json::{Value, json};

use super::{print, print_json};
use crate::{
    CancelToken, Failure,
    args::PullArgs,
    engine::{
        EngineError, ModelPath,
        hub::{Download, Event, HubFile, Request, fetch},
    },
    interrupt,
    progress::Progress,
};

/// Downloads and prints the folder, or the files that were asked for by name.
pub fn run(args: &PullArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    let cancel = CancelToken::default();
    interrupt::install(&cancel, leave)?;
    let mut progress = Progress::new(quiet);
    let id = match &args.revision {
        Some(revision) => args.id.clone().at(revision).map_err(EngineError::from)?,
        None => args.id.clone(),
    };
    let request = Request { only: &args.only, files: &args.file, all: args.all };
    let (download, start) = (Download::plan(&id, &request)?, Instant::now());
    if args.dry_run {
        return if args.json { print_json(&described(&download, None)) } else { print(&table(&download)) };
    }
    let mut pace = Pace::default();
    let folder = download.run(&cancel, &mut |event| pace.show(event, &mut progress));
    progress.clear();
    let (folder, seconds) = (folder?, start.elapsed().as_secs_f64());
    progress.line(&summary(&download, seconds));
    if args.json {
        return print_json(&described(&download, Some(seconds)));
    }
    let files: Vec<_> = args.file.iter().map(|file| folder.join(file).display().to_string()).collect();
    print(&if files.is_empty() { folder.display().to_string() } else { files.join("\n") })
}

/// The model on this machine's disk: a name on the hub becomes the folder of its files.
pub fn local(model: ModelPath, progress: &mut Progress, cancel: &CancelToken) -> Result<ModelPath, Failure> {
    let ModelPath::Hub(id) = model else { return Ok(model) };
    let mut pace = Pace::default();
    let folder = fetch(&id, cancel, &mut |event| pace.show(event, progress));
    progress.clear();
    let folder = folder
        .map_err(|error| EngineError { message: format!("there is no folder {id}; {error}"), ..error })?;
    // A run that is gone on from elsewhere finds it there.
    Ok(ModelPath::Folder(std::path::absolute(&folder).unwrap_or(folder)))
}

/// How fast the work goes.
#[derive(Default)]
struct Pace {
    start: Option<(Instant, u64)>,
    done: u64,
    total: u64,
}

impl Pace {
    fn show(&mut self, event: Event<'_>, progress: &mut Progress) {
        match event {
            Event::Bytes { done, total } => {
                self.start.get_or_insert_with(|| (Instant::now(), done));
                (self.done, self.total) = (done, total);
                progress.bytes("download", done, total);
            }
            Event::File(file) => {
                let rate = self.rate();
                let eta = self.total.saturating_sub(self.done) as f64 / rate.max(1.0);
                let (path, megabytes, rate) = (&file.path, file.bytes as f64 / 1e6, rate / 1e6);
                progress.part(&format!("{path} {megabytes:.1} MB; {rate:.1} MB/s, ETA {eta:.0} s"));
            }
            Event::Note(text) => progress.line(&format!("note: {text}")),
        }
    }

    /// Bytes in a second.
    fn rate(&self) -> f64 {
        let Some((start, before)) = self.start else { return 0.0 };
        self.done.saturating_sub(before) as f64 / start.elapsed().as_secs_f64().max(1e-3)
    }
}

fn summary(download: &Download, seconds: f64) -> String {
    let (all, missing) = (download.pull.bytes().0 as f64, download.missing() as f64);
    let count = download.pull.files.len();
    if missing == 0.0 {
        return format!("{count} files, {:.3} GB, all there", all / 1e9);
    }
    let rate = missing / seconds.max(1e-3) / 1e6;
    format!(
        "{count} files, {:.3} GB, of which {:.3} GB downloaded in {seconds:.1} s, {rate:.1} MB/s",
        all / 1e9,
        missing / 1e9
    )
}

fn table(download: &Download) -> String {
    let state = |file: &HubFile| match file.present {
        present if present == file.bytes => "there".to_owned(),
        0 => "missing".to_owned(),
        present => format!("{} %", present * 100 / file.bytes),
    };
    let row =
        |file: &HubFile| format!("{:>12.3} MB  {:>7}  {}", file.bytes as f64 / 1e6, state(file), file.path);
    let (all, missing) = (download.pull.bytes().0 as f64 / 1e6, download.missing() as f64 / 1e6);
    let rows: Vec<_> = download.pull.files.iter().map(row).collect();
    format!("{}\n{all:>12.3} MB in all, {missing:.3} MB to download", rows.join("\n"))
}

fn described(download: &Download, seconds: Option<f64>) -> Value {
    let pull = &download.pull;
    let file = |file: &HubFile| json!({"path": file.path, "bytes": file.bytes, "checksum": file.checksum(), "present": file.present});
    let mut object = json!({
        "id": pull.id.repository(),
        "revision": pull.id.revision(),
        "commit": pull.commit,
        "folder": pull.folder,
        "bytes": pull.bytes().0,
        "missing": download.missing(),
        "files": pull.files.iter().map(file).collect::<Vec<_>>(),
    });
    if let Some(seconds) = seconds {
        object["seconds"] = seconds.into();
    }
    object
}
