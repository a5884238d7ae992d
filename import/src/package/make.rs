//! Writes a package file by file.

use std::{collections::BTreeMap, io::Write, ops::ControlFlow, path::Path};

use super::{
    manifest::{Progress, Record, Unfinished},
    plan::{Content, Output, Plan},
    shard::{self, Written},
};
use crate::ImportError;

/// What happens while a package is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Converted<'a> {
    /// So many bytes of the source's tensors are dealt with.
    Bytes { done: u64, total: u64 },
    /// A file is finished, or was before.
    File { path: &'a str, bytes: u64, before: bool },
}

/// A package that was written.
#[derive(Clone, Debug)]
pub struct Made {
    /// Of all files.
    pub bytes: u64,
    /// Of the quantized weights, if asked for.
    pub errors: Vec<WeightError>,
}

/// How far a weight in fewer bits is from the source's.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightError {
    /// Folder of its component.
    pub component: String,
    pub key: String,
    /// Relative L2.
    pub error: f64,
}

impl Plan {
    /// Writes the package into the folder `target`, which is new, empty, or what an earlier run with the same source
    /// and settings left; finished files are kept then. One tensor is in memory at a time. `observe` may break the
    /// work, which leaves finished files.
    ///
    /// # Errors
    /// [`ImportError::Package`] for a folder with anything else in it, [`ImportError::Write`], whatever
    /// [`crate::load_module`] finds wrong with values, and [`ImportError::Interrupted`].
    pub fn make(
        &self,
        target: &Path,
        observe: &mut dyn FnMut(Converted<'_>) -> ControlFlow<()>,
    ) -> Result<Made, ImportError> {
        let progress = Progress::begin(target, self.identity())?;
        let mut maker = Maker { plan: self, target, progress, done: 0, total: self.source_bytes(), observe };
        self.outputs.iter().try_for_each(|output| maker.output(output))?;
        let Maker { progress, .. } = maker;
        let made = Made {
            bytes: progress.files.iter().map(|file| file.bytes).sum(),
            errors: errors(&progress.files),
        };
        progress.end(target, self.layout, self.quant)?;
        Ok(made)
    }
}

fn errors(files: &[Record]) -> Vec<WeightError> {
    let of_file = |record: &Record| {
        let component = record.path.split('/').next().unwrap_or_default().to_owned();
        let errors = record.errors.clone().unwrap_or_default().into_iter();
        errors.map(move |(key, error)| WeightError { component: component.clone(), key, error })
    };
    files.iter().flat_map(of_file).collect()
}

struct Maker<'a> {
    plan: &'a Plan,
    target: &'a Path,
    progress: Progress,
    /// Of the source's tensors.
    done: u64,
    total: u64,
    observe: &'a mut dyn FnMut(Converted<'_>) -> ControlFlow<()>,
}

impl Maker<'_> {
    fn output(&mut self, output: &Output) -> Result<(), ImportError> {
        let report = self.plan.report && matches!(output.content, Content::Tensors { .. });
        let before = self.progress.finished(self.target, &output.path, report)?;
        let bytes = match &before {
            Some(record) => {
                self.skip(output)?;
                record.bytes
            }
            None => {
                let record = self.write(output)?;
                let bytes = record.bytes;
                self.progress.add(self.target, record)?;
                bytes
            }
        };
        self.tell(Converted::File { path: &output.path, bytes, before: before.is_some() })
    }

    fn tell(&mut self, event: Converted<'_>) -> Result<(), ImportError> {
        if (self.observe)(event).is_break() { Err(ImportError::Interrupted) } else { Ok(()) }
    }

    /// Counts what an earlier run dealt with.
    fn skip(&mut self, output: &Output) -> Result<(), ImportError> {
        if let Content::Tensors { source, shard } = &output.content {
            let infos = shard.items.iter().filter_map(|item| source.info(&item.key));
            self.done += infos.map(|info| info.bytes as u64).sum::<u64>();
        }
        self.tell(Converted::Bytes { done: self.done, total: self.total })
    }

    fn write(&mut self, output: &Output) -> Result<Record, ImportError> {
        let target = self.target.join(&output.path);
        let mut unfinished = Unfinished::new(&target)?;
        let written = match &output.content {
            Content::Tensors { source, shard } => {
                let Self { done, total, observe, .. } = self;
                let mut tick = |bytes: usize| {
                    *done += bytes as u64;
                    observe(Converted::Bytes { done: *done, total: *total })
                };
                shard::write(shard, &**source, self.plan.report, (&mut unfinished.file, &target), &mut tick)?
            }
            Content::Copy(from) => {
                let io = |source| ImportError::Io { path: from.clone(), source };
                plain(&mut unfinished, &std::fs::read(from).map_err(io)?, &target)?
            }
            Content::Text(text) => plain(&mut unfinished, text.as_bytes(), &target)?,
        };
        let bytes = unfinished.file.metadata().map(|found| found.len());
        let bytes = bytes.map_err(|source| ImportError::Write { path: target, source })?;
        unfinished.end()?;
        let tensors = self.plan.report && matches!(output.content, Content::Tensors { .. });
        let errors = tensors.then_some(written.errors);
        Ok(Record { path: output.path.clone(), bytes, crc32: written.checksum, errors })
    }
}

fn plain(unfinished: &mut Unfinished, bytes: &[u8], path: &Path) -> Result<Written, ImportError> {
    let written = unfinished.file.write_all(bytes);
    written.map_err(|source| ImportError::Write { path: path.to_owned(), source })?;
    Ok(Written { checksum: crc32fast::hash(bytes), errors: BTreeMap::new() })
}
