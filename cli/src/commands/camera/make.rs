//! `wan camera make`: a path from a line of text.

use std::{fs, io::Write, path::Path};

use crate::{
    Failure,
    args::CameraMakeArgs,
    commands::print,
    engine::camera::{self, CameraPath},
    media::{MediaError, TemporaryFile},
    progress::Progress,
};

/// What an older path may have left beside the files that replace it.
const OLD_ACTIONS: &str = "action.npy";

/// Writes the path and prints its folder.
pub fn run(args: &CameraMakeArgs, quiet: bool) -> Result<(), Failure> {
    let path = camera::make(&args.motion, args.frames)?;
    write(&path, &args.output, args.overwrite)?;
    let (frames, used) = (path.poses().len(), camera::summary(&path)?.used_frames);
    if used < frames {
        let note = format!("note: models take 4n+1 frames: {used} of these {frames}");
        Progress::new(quiet).line(&note);
    }
    print(&args.output.display().to_string())
}

/// All files under temporary names first, so that a folder never holds half a path.
fn write(path: &CameraPath, folder: &Path, overwrite: bool) -> Result<(), MediaError> {
    let files = camera::camera_files(path);
    let taken = files.iter().map(|(name, _)| folder.join(name)).find(|file| file.symlink_metadata().is_ok());
    if let Some(path) = taken.filter(|_| !overwrite) {
        return Err(MediaError::Exists { path });
    }
    let unwritable = |source| MediaError::Unwritable { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(unwritable)?;
    let mut complete = Vec::new();
    for (name, bytes) in &files {
        let file = TemporaryFile::new(&folder.join(name), overwrite)?;
        file.file().write_all(bytes).map_err(|e| file.error(e))?;
        complete.push(file);
    }
    if overwrite && path.actions().is_none() && folder.join(OLD_ACTIONS).exists() {
        fs::remove_file(folder.join(OLD_ACTIONS)).map_err(unwritable)?;
    }
    complete.into_iter().try_for_each(TemporaryFile::persist)
}
