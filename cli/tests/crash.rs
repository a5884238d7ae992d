//! Panics below the command. One test: the hook is the process's.
#![allow(clippy::unwrap_used)]

use std::{fs, panic};

use image::RgbImage;
use tempfile::TempDir;
use wan_cli::{
    Failure, Kind, crash,
    media::{Format, Output},
};

const FORMAT: Format = Format { width: 32, height: 16, fps: 16, frames: 2 };

fn caught(work: impl FnOnce()) -> Failure {
    crash::guard(|| {
        work();
        Ok(())
    })
    .unwrap_err()
}

#[test]
fn a_panic_is_one_error_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let hook = panic::take_hook();
    crash::quiet_panics();
    let plain = caught(|| panic!("a first line\n\n  a second\nthird\nBacktrace\n  0: main"));
    // As the GPU stack does: a fault on a thread of its own, then one here that does not know the reason.
    let device = caught(|| {
        let outputs = ["a.mp4", "a.gif", "a.webp", "a_%d.png"];
        let open =
            |name| Output::parse(&folder.path().join(name)).unwrap().open(FORMAT, false, None).unwrap();
        let mut writers = outputs.map(open);
        writers.iter_mut().for_each(|writer| writer.push(&RgbImage::new(32, 16)).unwrap());
        let fault = std::thread::spawn(|| panic!("out of device memory allocating 7 bytes\nBacktrace"));
        assert!(fault.join().is_ok(), "the device thread is gone");
    });
    panic::set_hook(hook);

    assert_eq!((plain.kind, device.kind), (Kind::Failed, Kind::Failed));
    assert_eq!(plain.message, "internal error: a first line a second third");
    assert!(plain.hint.is_some_and(|hint| hint.contains("WAN_LOG")));
    let start = "error: internal error: out of device memory allocating 7 bytes Backtrace; then the device";
    let lines = device.to_string();
    assert!(lines.starts_with(start) && lines.contains("\nhint: ") && lines.contains("--size"), "{lines}");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
