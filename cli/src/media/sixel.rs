//! Sixel pictures: rows of characters that stand for six pixels above each other.

use std::fmt::Write;

use color_quant::NeuQuant;
use image::RgbImage;

/// Colours that terminals of today hold.
const COLOURS: usize = 256;
/// The palette is fitted to every so many pixels.
const SAMPLE: i32 = 4;
/// Pixels of a character.
const HEIGHT: usize = 6;

/// The characters that draw a picture, <https://vt100.net/docs/vt3xx-gp/chapter14.html>.
pub fn sixel(picture: &RgbImage) -> String {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (palette, colours) = reduced(picture);
    // Square pixels, and those that are not drawn stay as they are.
    let mut text = format!("\x1bP0;1q\"1;1;{width};{height}");
    for (index, rgb) in palette.into_iter().enumerate() {
        let [red, green, blue] = rgb.map(percent);
        let _ = write!(text, "#{index};2;{red};{green};{blue}");
    }
    for band in colours.chunks(width.max(1) * HEIGHT) {
        draw(band, width, &mut text);
    }
    text + "\x1b\\"
}

/// Colours, and which of them each pixel has: its own if there are few, or else the nearest of some that fit.
fn reduced(picture: &RgbImage) -> (Vec<[u8; 3]>, Vec<usize>) {
    let mut own: Vec<_> = picture.pixels().map(|pixel| pixel.0).collect();
    own.sort_unstable();
    own.dedup();
    if own.len() <= COLOURS {
        let colours = picture.pixels().filter_map(|pixel| own.binary_search(&pixel.0).ok()).collect();
        return (own, colours);
    }
    let rgba: Vec<u8> = picture.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
    let fitted = NeuQuant::new(SAMPLE, COLOURS, &rgba);
    let colours = rgba.chunks_exact(4).map(|pixel| fitted.index_of(pixel)).collect();
    (fitted.color_map_rgb().as_chunks().0.to_vec(), colours)
}

fn percent(level: u8) -> u32 {
    (u32::from(level) * 100 + 127) / 255
}

/// Up to six rows, one colour over the other.
fn draw(band: &[usize], width: usize, text: &mut String) {
    let mut bits = vec![Vec::new(); COLOURS];
    for (at, &colour) in band.iter().enumerate() {
        let columns = &mut bits[colour];
        if columns.is_empty() {
            columns.resize(width, 0u8);
        }
        columns[at % width] |= 1 << (at / width);
    }
    for (colour, columns) in bits.iter().enumerate().filter(|(_, columns)| !columns.is_empty()) {
        let _ = write!(text, "#{colour}");
        for run in columns.chunk_by(|a, b| a == b) {
            let character = char::from(b'?' + run[0]);
            // A count takes three characters or more.
            let _ = match run.len() {
                count @ 4.. => write!(text, "!{count}{character}"),
                count => write!(text, "{}", character.to_string().repeat(count)),
            };
        }
        text.push('$');
    }
    text.push('-');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A command's letter and the numbers behind it; a drawing character has none.
    fn tokens(body: &str) -> Vec<(u8, Vec<usize>)> {
        let mut tokens: Vec<(u8, String)> = Vec::new();
        for byte in body.bytes() {
            match tokens.last_mut() {
                Some((_, digits)) if byte.is_ascii_digit() || byte == b';' => digits.push(byte.into()),
                _ => tokens.push((byte, String::new())),
            }
        }
        let numbers = |text: &str| text.split(';').filter_map(|number| number.parse().ok()).collect();
        tokens.into_iter().map(|(letter, digits)| (letter, numbers(&digits))).collect()
    }

    /// What a terminal makes of the text.
    fn drawn(text: &str) -> RgbImage {
        let body = text.strip_prefix("\x1bP0;1q").unwrap().strip_suffix("\x1b\\").unwrap();
        let tokens = tokens(body);
        let size = &tokens[0].1;
        let mut picture = RgbImage::new(size[2] as u32, size[3] as u32);
        let mut palette = vec![[0; 3]; COLOURS];
        let (mut colour, mut count, mut x, mut y) = (0, 1, 0, 0);
        for (letter, numbers) in &tokens[1..] {
            match (letter, numbers.as_slice()) {
                (b'#', &[index, 2, red, green, blue]) => {
                    palette[index] = [red, green, blue].map(|part| (part * 255 / 100) as u8);
                }
                (b'#', &[index]) => colour = index,
                (b'!', &[repeats]) => count = repeats,
                (b'$', _) => x = 0,
                (b'-', _) => (x, y) = (0, y + 6),
                (character, _) => {
                    for _ in 0..std::mem::replace(&mut count, 1) {
                        let rows = (0..6).filter(|row| (character - b'?') >> row & 1 == 1);
                        rows.for_each(|row| picture.put_pixel(x, y + row, image::Rgb(palette[colour])));
                        x += 1;
                    }
                }
            }
        }
        picture
    }

    #[test]
    fn a_terminal_draws_what_the_picture_shows() {
        // Eight flat fields over a ramp, and a height that six does not divide.
        let field = |x: u32, y: u32| match y {
            0..20 => [8, 16, 32].map(|half| (x / half % 2) as u8 * 200 + 20),
            _ => [x as u8 * 4, 255 - y as u8 * 5, 90],
        };
        let picture = RgbImage::from_fn(64, 45, |x, y| image::Rgb(field(x, y)));
        let shown = drawn(&sixel(&picture));
        assert_eq!(shown.dimensions(), (64, 45));
        let off: Vec<_> = shown.iter().zip(picture.iter()).map(|(&a, &b)| f64::from(a.abs_diff(b))).collect();
        // Of 0..255: hundredths of a colour, and 256 colours for some 1600.
        let mean = off.iter().sum::<f64>() / off.len() as f64;
        assert!(mean < 6.0 && off.iter().all(|&off| off < 60.0), "{mean}");
    }

    #[test]
    fn small_pictures_are_drawn_too() {
        for (width, height) in [(1, 1), (3, 7), (200, 1)] {
            let picture = RgbImage::from_pixel(width, height, image::Rgb([255, 0, 100]));
            let shown = drawn(&sixel(&picture));
            assert_eq!(shown.dimensions(), (width, height));
            assert!(
                shown.pixels().all(|pixel| pixel[0] == 255 && pixel[1] == 0 && pixel[2].abs_diff(100) < 3)
            );
        }
        assert_eq!(sixel(&RgbImage::new(0, 0)).matches('-').count(), 0);
    }
}
