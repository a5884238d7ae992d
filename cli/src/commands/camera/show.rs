//! `wan camera show`: a path in words and as a picture.

use std::{io::Write, path::Path};

use serde_json::json;

use super::picture::{self, Picture};
use crate::{
    Failure,
    args::CameraShowArgs,
    commands::{print, print_json},
    drawing::{Drawing, raster, svg},
    engine::camera::{self, Summary},
    media::{Format, MediaError, Output, TemporaryFile, check_new},
};

/// Which file a picture goes into.
#[derive(Clone, Copy)]
enum Kind {
    Png,
    Svg,
}

/// Prints what the path does and draws it if asked to.
pub fn run(args: &CameraShowArgs) -> Result<(), Failure> {
    if !args.path.exists() {
        let message = format!("{} does not exist", args.path.display());
        return Err(Failure::usage(message, "give a folder with poses.npy and intrinsics.npy"));
    }
    let target = args.output.as_deref().map(|path| check(path, args.overwrite)).transpose()?;
    let path = camera::read(&args.path)?;
    let summary = camera::summary(&path)?;
    let picture = picture::draw(path.poses());
    if let Some((path, kind)) = target {
        save(&picture.drawing, path, kind, args.overwrite)?;
    }
    if args.json {
        let mut object = json!(summary);
        object["picture"] = json!(args.output);
        object["bar"] = json!(picture.bar);
        return print_json(&object);
    }
    let drawn = args.output.as_deref().map(|path| drawn(path, &picture)).unwrap_or_default();
    print(&format!("{}{drawn}", describe(&summary)))
}

/// Refuses unknown kinds of files and taken names before any work.
fn check(path: &Path, overwrite: bool) -> Result<(&Path, Kind), Failure> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let kind = match extension.as_str() {
        "png" => Kind::Png,
        "svg" => Kind::Svg,
        _ => {
            let message = format!("{}: a picture is a .png or an .svg", path.display());
            return Err(Failure::usage(message, "for example -o path.svg"));
        }
    };
    check_new(path, overwrite)?;
    Ok((path, kind))
}

fn save(drawing: &Drawing, path: &Path, kind: Kind, overwrite: bool) -> Result<(), MediaError> {
    match kind {
        Kind::Png => {
            let format = Format { width: drawing.width, height: drawing.height, fps: 1, frames: 1 };
            let mut writer = Output::Png(path.to_owned()).open(format, overwrite, None)?;
            writer.push(&raster(drawing))?;
            writer.finish()
        }
        Kind::Svg => {
            let file = TemporaryFile::new(path, overwrite)?;
            file.file().write_all(svg(drawing).as_bytes()).map_err(|e| file.error(e))?;
            file.persist()
        }
    }
}

fn describe(summary: &Summary) -> String {
    let Summary { frames, used_frames, latent_frames, length, distance, largest_step, .. } = summary;
    let [from, to] = [summary.largest_step_frame, summary.largest_step_frame + 4];
    let step = if *largest_step > 0.0 { format!(", from frame {from} to {to}") } else { String::new() };
    let end = summary.end;
    let [across, down] = summary.angles_of_view;
    let [fx, fy, cx, cy] = summary.intrinsics;
    let change = if summary.intrinsics_change { "; it changes, and the first frame's counts" } else { "" };
    let keys = if summary.actions { "yes" } else { "none" };
    format!(
        "frames        {frames}, of which {used_frames} are taken (4n+1): {latent_frames} latent frames\n\
         length        {length:.4} along the path, {distance:.4} from start to end\n\
         largest step  {largest_step:.4} between latent frames{step}\n\
         turns         {:.1} degrees in all; at the end {}, {}, {} against the start\n\
         lens          {across:.1} x {down:.1} degrees (fx {fx:.1}, fy {fy:.1}, cx {cx:.1}, cy {cy:.1}){change}\n\
         keys          {keys}",
        summary.turned,
        signed(end.right, "right", "left"),
        signed(end.up, "up", "down"),
        signed(end.clockwise, "clockwise", "anticlockwise"),
    )
}

/// `12.5 left` for -12.5.
fn signed(degrees: f64, positive: &str, negative: &str) -> String {
    let word = if degrees < 0.0 { negative } else { positive };
    format!("{:.1} {word}", degrees.abs())
}

fn drawn(path: &Path, picture: &Picture) -> String {
    let bar = picture.bar.map(|length| format!("; the bar is {length} long")).unwrap_or_default();
    let views = "left from above with forward up, right from the side with forward to the right";
    format!("\npicture       {}: {views}{bar}", path.display())
}
