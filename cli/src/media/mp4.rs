//! MP4: H.264 without B-frames, the index in front of the pictures so that playing starts before all is read.

use std::{
    io::{Seek, SeekFrom, Write},
    num::NonZeroU32,
    path::Path,
};

use image::RgbImage;
use openh264::{
    OpenH264API, Timestamp,
    encoder::{
        BitRate, EncodedBitStream, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, QpRange,
        RateControlMode, VuiConfig,
    },
};
use shiguredo_mp4::{
    BoxSize, BoxType, Encode, TrackKind, Uint,
    boxes::{Avc1Box, AvccBox, SampleEntry, UnknownBox, VisualSampleEntryFields},
    mux::{FinalizedBoxes, Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size},
};

use super::{Format, FrameWriter, MediaError, comment, temporary::TemporaryFile, yuv::Yuv};

/// Quantiser of every picture: visually lossless at the sizes of these videos.
const QUANTISER: QpRange = QpRange::new(18, 18);
/// Longest distance of key frames, for seeking.
const KEY_FRAME_SECONDS: u32 = 2;
/// Ticks of one frame; the track counts `fps * TICKS` per second, so every integer rate is exact.
const TICKS: u32 = 1000;
/// Largest side that the encoder takes.
const MAX_SIDE: (u32, u32) = (3840, 2160);
/// Bytes of an empty box.
const FREE: usize = 8;
/// NAL unit types (ITU-T H.264 table 7-1).
const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;

/// Encodes frames as they come.
pub struct Mp4Writer {
    encoder: Encoder,
    muxer: Mp4FileMuxer,
    file: TemporaryFile,
    format: Format,
    timescale: NonZeroU32,
    /// A box for the index.
    user_data: Vec<u8>,
    position: u64,
    count: usize,
}

impl Mp4Writer {
    /// Refuses odd sizes and sizes above 3840x2160.
    pub fn new(
        path: &Path,
        format: Format,
        overwrite: bool,
        comment: Option<&str>,
    ) -> Result<Self, MediaError> {
        let (width, height) = (format.width, format.height);
        if width % 2 == 1 || height % 2 == 1 {
            return Err(MediaError::OddSize { width, height });
        }
        if width.max(height) > MAX_SIDE.0 || width.min(height) > MAX_SIDE.1 {
            return Err(MediaError::TooLarge { kind: "H.264", width, height });
        }
        let file = TemporaryFile::new(path, overwrite)?;
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config(&format))
            .map_err(|e| MediaError::encode("H.264", e))?;
        let user_data = comment.map(comment::user_data).unwrap_or_default();
        let reserved_moov_box_size = estimate_maximum_moov_box_size(&[format.frames]) + user_data.len();
        let muxer =
            Mp4FileMuxer::with_options(Mp4FileMuxerOptions { reserved_moov_box_size, ..Default::default() })
                .map_err(|e| MediaError::encode("MP4", e))?;
        let timescale = NonZeroU32::MIN.saturating_add(format.fps.saturating_mul(TICKS).saturating_sub(1));
        let mut writer = Self { encoder, muxer, file, format, timescale, user_data, position: 0, count: 0 };
        let head = writer.muxer.initial_boxes_bytes().to_vec();
        writer.write(&head)?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        self.file.file().write_all(bytes).map_err(|e| self.file.error(e))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn encode(&mut self, frame: &RgbImage) -> Result<Picture, MediaError> {
        let time = Timestamp::from_millis(self.format.time(self.count, 1000));
        let stream = self
            .encoder
            .encode_at(&Yuv::from_rgb(frame), time)
            .map_err(|e| MediaError::encode("H.264", e))?;
        Ok(Picture::new(&stream))
    }
}

impl FrameWriter for Mp4Writer {
    fn push(&mut self, frame: &RgbImage) -> Result<(), MediaError> {
        self.format.check(frame)?;
        let picture = self.encode(frame)?;
        if picture.data.is_empty() {
            return Err(MediaError::encode("H.264", "the encoder skipped a frame"));
        }
        let sample = Sample {
            track_kind: TrackKind::Video,
            sample_entry: (self.count == 0).then(|| picture.sample_entry(&self.format)).transpose()?,
            keyframe: picture.key,
            timescale: self.timescale,
            duration: TICKS,
            composition_time_offset: None,
            data_offset: self.position,
            data_size: picture.data.len(),
        };
        self.write(&picture.data)?;
        self.muxer.append_sample(&sample).map_err(|e| MediaError::encode("MP4", e))?;
        self.count += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), MediaError> {
        if self.count == 0 {
            return Err(MediaError::Empty);
        }
        let boxes = self.muxer.finalize().map_err(|e| MediaError::encode("MP4", e))?;
        let index = with_user_data(boxes, &self.user_data).map_err(|e| MediaError::encode("MP4", e))?;
        let head = boxes.offset_and_bytes_pairs().next().map_or(&[][..], |(_, head)| head);
        let moved = place(head, index, self.position);
        let mut file = self.file.file();
        let moved = moved.iter().map(|(at, bytes)| (*at, bytes.as_slice()));
        for (offset, bytes) in boxes.offset_and_bytes_pairs().chain(moved) {
            file.seek(SeekFrom::Start(offset)).map_err(|e| self.file.error(e))?;
            file.write_all(bytes).map_err(|e| self.file.error(e))?;
        }
        self.file.persist()
    }
}

/// The index (`moov`) with a further box at its end.
fn with_user_data(boxes: &FinalizedBoxes, user_data: &[u8]) -> Result<Vec<u8>, shiguredo_mp4::Error> {
    let mut index = boxes.moov_box().encode_to_vec()?;
    index.extend_from_slice(user_data);
    let size = (index.len() as u32).to_be_bytes();
    index[..4].copy_from_slice(&size);
    Ok(index)
}

/// The index and the free space, by their places: before the pictures if there is room, else at the file's `end`.
/// `head` is what stands before the pictures, the kind of file first.
fn place(head: &[u8], index: Vec<u8>, end: u64) -> [(u64, Vec<u8>); 2] {
    let start = head.first_chunk().map_or(0, |size| u32::from_be_bytes(*size) as usize);
    let room = head.len().saturating_sub(start);
    let free = |length: usize| [&(length as u32).to_be_bytes(), b"free".as_slice()].concat();
    if index.len() + FREE > room {
        return [(start as u64, free(room)), (end, index)];
    }
    let rest = free(room - index.len());
    let behind = (start + index.len()) as u64;
    [(start as u64, index), (behind, rest)]
}

fn config(format: &Format) -> EncoderConfig {
    EncoderConfig::new()
        .max_frame_rate(FrameRate::from_hz(format.fps as f32))
        // Control by buffer with one allowed quantiser is constant quality; the rate only has to be positive.
        .rate_control_mode(RateControlMode::Bufferbased)
        .qp(QUANTISER)
        .bitrate(BitRate::from_bps(5_000_000))
        .skip_frames(false)
        .adaptive_quantization(false)
        .background_detection(false)
        .intra_frame_period(IntraFramePeriod::from_num_frames(format.fps.saturating_mul(KEY_FRAME_SECONDS)))
        .vui(VuiConfig::bt709())
}

/// One coded picture: parameter sets apart, the rest as length-prefixed NAL units.
struct Picture {
    sequence: Option<Vec<u8>>,
    picture: Option<Vec<u8>>,
    data: Vec<u8>,
    key: bool,
}

impl Picture {
    fn new(stream: &EncodedBitStream<'_>) -> Self {
        let key = stream.frame_type() == FrameType::IDR;
        let mut this = Self { sequence: None, picture: None, data: Vec::new(), key };
        let layers = (0..stream.num_layers()).filter_map(|i| stream.layer(i));
        for layer in layers {
            (0..layer.nal_count()).filter_map(|i| layer.nal_unit(i)).for_each(|unit| this.add(unit));
        }
        this
    }

    /// Takes a unit with its start code.
    fn add(&mut self, unit: &[u8]) {
        let zeros = unit.iter().take_while(|&&byte| byte == 0).count();
        let Some((&kind, _)) = unit.get(zeros + 1..).and_then(|payload| payload.split_first()) else {
            return;
        };
        let payload = &unit[zeros + 1..];
        match kind & 0x1f {
            SEQUENCE_PARAMETERS => self.sequence = Some(payload.to_vec()),
            PICTURE_PARAMETERS => self.picture = Some(payload.to_vec()),
            _ => {
                self.data.extend_from_slice(&(payload.len() as u32).to_be_bytes());
                self.data.extend_from_slice(payload);
            }
        }
    }

    fn sample_entry(&self, format: &Format) -> Result<SampleEntry, MediaError> {
        let missing = || MediaError::encode("H.264", "the encoder gave no parameter sets");
        let sequence = self.sequence.clone().filter(|s| s.len() >= 4).ok_or_else(missing)?;
        let picture = self.picture.clone().ok_or_else(missing)?;
        Ok(SampleEntry::Avc1(Avc1Box {
            visual: visual(format),
            avcc_box: decoder_configuration(sequence, picture),
            unknown_boxes: vec![colour()],
        }))
    }
}

fn visual(format: &Format) -> VisualSampleEntryFields {
    VisualSampleEntryFields {
        data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        // Bounded by MAX_SIDE.
        width: format.width as u16,
        height: format.height as u16,
        horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
        vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
        frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
        compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
        depth: VisualSampleEntryFields::DEFAULT_DEPTH,
    }
}

fn decoder_configuration(sequence: Vec<u8>, picture: Vec<u8>) -> AvccBox {
    let profile = sequence[1];
    // Profiles above these carry the chroma format: 4:2:0 with 8 bits.
    let extended = !matches!(profile, 66 | 77 | 88);
    AvccBox {
        avc_profile_indication: profile,
        profile_compatibility: sequence[2],
        avc_level_indication: sequence[3],
        length_size_minus_one: Uint::new(3),
        sps_list: vec![sequence],
        pps_list: vec![picture],
        chroma_format: extended.then(|| Uint::new(1)),
        bit_depth_luma_minus8: extended.then(|| Uint::new(0)),
        bit_depth_chroma_minus8: extended.then(|| Uint::new(0)),
        sps_ext_list: Vec::new(),
    }
}

/// `colr` with BT.709 primaries, transfer and matrix in limited range (ISO/IEC 14496-12, 12.1.5).
fn colour() -> UnknownBox {
    let box_type = BoxType::Normal(*b"colr");
    let payload = [b"nclx".as_slice(), &[0, 1, 0, 1, 0, 1, 0]].concat();
    UnknownBox { box_type, box_size: BoxSize::with_payload_size(box_type, payload.len() as u64), payload }
}
