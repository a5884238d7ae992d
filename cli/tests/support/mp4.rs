//! MP4 files read back with a demuxer and a decoder.
#![allow(dead_code, reason = "each test binary uses its part")]

use openh264::{decoder::Decoder, formats::YUVSource};
use shiguredo_mp4::{
    boxes::{Avc1Box, SampleEntry},
    demux::{Input, Mp4FileDemuxer},
};

/// One decoded picture.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// `width * height` values in limited range.
    pub luma: Vec<u8>,
}

/// Decodes every sample of the file; each must give one picture.
pub fn pictures(bytes: &[u8]) -> Vec<Picture> {
    let (entry, samples) = samples(bytes);
    let mut decoder = Decoder::new().unwrap();
    for set in [&entry.avcc_box.sps_list[0], &entry.avcc_box.pps_list[0]] {
        decoder.decode(&[&[0, 0, 0, 1], set.as_slice()].concat()).unwrap();
    }
    let mut picture = |coded: &Coded| {
        let decoded = decoder.decode(&coded.data).unwrap().expect("one picture per sample");
        let (width, height) = decoded.dimensions();
        Picture { width, height, luma: rows(decoded.y(), decoded.strides().0, width, height) }
    };
    samples.iter().map(&mut picture).collect()
}

/// One coded picture of a file.
pub struct Coded {
    /// Annex B.
    pub data: Vec<u8>,
    pub key: bool,
    /// In units of `1 / timescale` seconds.
    pub duration: u32,
    pub timescale: u32,
}

/// The track's description and its samples in order.
pub fn samples(bytes: &[u8]) -> (Avc1Box, Vec<Coded>) {
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: bytes });
    let mut entry = None;
    let mut samples = Vec::new();
    while let Some(sample) = demuxer.next_sample().unwrap() {
        if let Some(SampleEntry::Avc1(found)) = sample.sample_entry {
            entry = Some(found.clone());
        }
        let start = sample.data_offset as usize;
        let data = annex_b(&bytes[start..start + sample.data_size]);
        let timescale = sample.track.timescale.get();
        samples.push(Coded { data, key: sample.keyframe, duration: sample.duration, timescale });
    }
    (entry.unwrap(), samples)
}

fn annex_b(mut sample: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((length, rest)) = sample.split_first_chunk::<4>() {
        let (unit, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(unit);
        sample = rest;
    }
    out
}

fn rows(plane: &[u8], stride: usize, width: usize, height: usize) -> Vec<u8> {
    plane.chunks(stride).take(height).flat_map(|row| &row[..width]).copied().collect()
}
