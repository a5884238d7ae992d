//! `wan camera make`: a path from a line of text.

use std::{fs, io::Write, path::Path};

use crate::{
    Failure,
    args::CameraMakeArgs,
    commands::print,
    engine::camera::{self, CameraPath},
    media::{MediaError, TemporaryFile, check_new},
    progress::Progress,
};

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
    files.iter().try_for_each(|(name, _)| check_new(&folder.join(name), overwrite))?;
    let unwritable = |source| MediaError::Unwritable { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(unwritable)?;
    let mut complete = Vec::new();
    for (name, bytes) in &files {
        let file = TemporaryFile::new(&folder.join(name), overwrite)?;
        file.file().write_all(bytes).map_err(|e| file.error(e))?;
        complete.push(file);
    }
    // What an older path may have left beside the files that replace it.
    let old_actions = folder.join(camera::ACTIONS);
    if overwrite && path.actions().is_none() && old_actions.exists() {
        fs::remove_file(old_actions).map_err(unwritable)?;
    }
    complete.into_iter().try_for_each(TemporaryFile::persist)
}
