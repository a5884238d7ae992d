//! What a second interrupt removes before the process ends.
#![allow(clippy::unwrap_used)]

use std::fs;

use image::RgbImage;
use tempfile::TempDir;
use wan_cli::media::{Format, Output, remove_leftovers};

#[test]
fn unfinished_files_and_folders_are_removed_and_finished_ones_stay() {
    let folder = TempDir::new().unwrap();
    let format = Format { width: 32, height: 16, fps: 16, frames: 2 };
    let open =
        |name: &str| Output::parse(&folder.path().join(name)).unwrap().open(format, false, None).unwrap();
    let mut finished = open("done.mp4");
    finished.push(&RgbImage::new(32, 16)).unwrap();
    finished.finish().unwrap();
    let mut writers = [open("a.mp4"), open("a.gif"), open("a_%d.png")];
    writers.iter_mut().for_each(|writer| writer.push(&RgbImage::new(32, 16)).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);

    remove_leftovers();

    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["done.mp4"]);
}
