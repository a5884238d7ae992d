//! `wan bench vae`.

use std::ops::ControlFlow;

use wan_benches::vae::{Options, Row, run as measure};
use wan_model::{Strides, VaeMemory};

use super::{Teller, gigabytes, guarded, networks};
use crate::{
    Failure,
    args::VaeArgs,
    settings::{Size, VaeDtype},
};

pub(super) fn run(args: &VaeArgs, teller: &mut Teller) -> Result<ControlFlow<()>, Failure> {
    let opened = networks::open(&args.networks)?;
    let Size { width, height } = args.size;
    let video = [width, height, args.frames];
    let strides = match opened.networks.vae_config() {
        Ok(config) => {
            Strides { temporal: config.temporal_factor(), spatial: config.spatial_factor(), patch: [1; 3] }
        }
        Err(_) => Strides::VAE_2_1,
    };
    networks::check_video(video, strides)?;
    let half = args.vae_dtype == VaeDtype::F16;
    let options = Options {
        device: teller.device.clone(),
        networks: opened.networks.clone(),
        video,
        memory: VaeMemory { half, ..VaeMemory::default() },
        warmup: args.runs.warmup,
        runs: args.runs.runs,
    };
    teller.heading();
    guarded(|| measure(&options, |row| teller.tell(&row, text)))
}

fn text(row: &Row) -> String {
    format!(
        "{} {:14} {}  {:8.2} s, first {:8.2} s, processor {} s, {:7.3} s a frame, {:7.3} Mpixel/s, peak {}",
        row.what,
        row.video,
        row.memory_dtype,
        row.median_seconds,
        row.first_seconds,
        row.processor_seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}")),
        row.seconds_per_frame,
        row.megapixels_per_second,
        gigabytes(row.peak_memory_bytes),
    )
}
