//! The flags of `wan camera`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::parse_count;

#[derive(Args, Debug)]
pub struct CameraArgs {
    #[command(subcommand)]
    pub command: CameraCommand,
}

#[derive(Subcommand, Debug)]
pub enum CameraCommand {
    /// Write a camera path from a line of words or keys
    Make(CameraMakeArgs),
    /// Say what a camera path does, and draw it
    Show(CameraShowArgs),
}

const MAKE_EXAMPLE: &str = "\
Words: forward, back, left, right, up or down with a distance moves along the camera's axes; left, right, up or down \
with degrees turns it. The moves share the frames at one pace, at which a distance of 1 takes as long as 40deg. \
The network sees distances against the longest step of the path only.

Keys: w a s d walk 0.05 a frame, i k look up and down and j l left and right by 2 degrees a frame, none stands still; \
each piece is keys-frames.

Examples:
  wan camera make -o walk --frames 81 \"forward 2, left 30deg, up 10deg\"
  wan camera make -o walk \"w-30,wl-15,none-5\"";

#[derive(Args, Debug)]
#[command(after_help = MAKE_EXAMPLE)]
pub struct CameraMakeArgs {
    /// What the camera does
    #[arg(value_name = "MOTION")]
    pub motion: String,
    /// Folder for poses.npy, intrinsics.npy and, for keys, action.npy
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Number of frames, 4n+1; keys bring their own
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_count)]
    pub frames: Option<usize>,
    /// Replace the files if they exist
    #[arg(long)]
    pub overwrite: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  wan camera show walk -o walk.svg")]
pub struct CameraShowArgs {
    /// Folder with poses.npy and intrinsics.npy, or with cameras.json
    #[arg(value_name = "DIR")]
    pub path: PathBuf,
    /// Draw the path from above and from the side: .png, or .svg, which has labels
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the picture if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
