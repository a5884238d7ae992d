//! `wan camera`: camera paths for models that are steered by them.

mod make;
mod picture;
mod show;

use crate::{
    Failure,
    args::{CameraArgs, CameraCommand},
};

/// Runs the chosen subcommand.
pub fn run(args: &CameraArgs, quiet: bool) -> Result<(), Failure> {
    match &args.command {
        CameraCommand::Make(args) => make::run(args, quiet),
        CameraCommand::Show(args) => show::run(args),
    }
}
