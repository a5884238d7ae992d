//! RGB to limited-range BT.709 with chroma at half the resolution.

use image::RgbImage;
use openh264::formats::YUVSource;

/// Weights of red and blue in luma (ITU-R BT.709).
const KR: f32 = 0.2126;
const KB: f32 = 0.0722;

/// One picture of even width and height, `y: [h, w]`, `u` and `v`: `[h / 2, w / 2]`.
pub struct Yuv {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Yuv {
    /// Converts a frame; chroma is the mean of each 2x2 block.
    pub fn from_rgb(frame: &RgbImage) -> Self {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let rgb = frame.as_raw();
        let quarter = width * height / 4;
        let (mut u, mut v) = (Vec::with_capacity(quarter), Vec::with_capacity(quarter));
        for block_y in 0..height / 2 {
            for block_x in 0..width / 2 {
                let mean = block_mean(rgb, width, block_x, block_y);
                let luma = luma(mean);
                u.push(round(128.0 + 112.0 / 255.0 * (mean[2] - luma) / (1.0 - KB)));
                v.push(round(128.0 + 112.0 / 255.0 * (mean[0] - luma) / (1.0 - KR)));
            }
        }
        let y = rgb
            .chunks_exact(3)
            .map(|p| round(16.0 + 219.0 / 255.0 * luma([p[0], p[1], p[2]].map(f32::from))));
        Self { width, height, y: y.collect(), u, v }
    }
}

fn luma([r, g, b]: [f32; 3]) -> f32 {
    KR * r + (1.0 - KR - KB) * g + KB * b
}

fn round(value: f32) -> u8 {
    (value + 0.5) as u8
}

fn block_mean(rgb: &[u8], width: usize, block_x: usize, block_y: usize) -> [f32; 3] {
    let top = (2 * block_y * width + 2 * block_x) * 3;
    let bottom = top + width * 3;
    std::array::from_fn(|c| {
        let sum: u16 = [top, top + 3, bottom, bottom + 3].iter().map(|&at| u16::from(rgb[at + c])).sum();
        f32::from(sum) / 4.0
    })
}

impl YUVSource for Yuv {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.y
    }

    fn u(&self) -> &[u8] {
        &self.u
    }

    fn v(&self) -> &[u8] {
        &self.v
    }
}
