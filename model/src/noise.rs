//! Host noise equal to `torch.randn` with a seeded `torch.Generator("cpu")`.

use std::f64::consts::TAU;

/// Chunk of the vectorised fill: eight radii, then eight angles.
const CHUNK: usize = 16;

/// `len` standard normal values, as `torch.randn(len, generator=torch.Generator("cpu").manual_seed(seed))` draws them
/// in f32. A tensor of any shape holds the same values in row-major order; only the low 32 bits of `seed` count.
///
/// From 16 values on torch's AVX2 kernel is followed, polynomial for polynomial; below that its double-precision
/// scalar path.
pub fn torch_randn(seed: u64, len: usize) -> Vec<f32> {
    let mut engine = Mt19937::new(seed as u32);
    if len < CHUNK { scalar_fill(&mut engine, len) } else { vector_fill(&mut engine, len) }
}

/// All uniforms first, then Box-Muller in place, 16 values at a time.
fn vector_fill(engine: &mut Mt19937, len: usize) -> Vec<f32> {
    let mut values: Vec<f32> = (0..len).map(|_| engine.uniform_f32()).collect();
    for chunk in values.chunks_exact_mut(CHUNK) {
        box_muller(chunk);
    }
    if !len.is_multiple_of(CHUNK) {
        // The last 16 values are drawn again, over some that were already normal.
        let tail = &mut values[len - CHUNK..];
        tail.fill_with(|| engine.uniform_f32());
        box_muller(tail);
    }
    values
}

fn box_muller(chunk: &mut [f32]) {
    let (radii, angles) = chunk.split_at_mut(CHUNK / 2);
    for (a, b) in radii.iter_mut().zip(angles) {
        let radius = (-2.0 * ln(1.0 - *a)).sqrt();
        let (sin, cos) = sin_cos(TAU as f32 * *b);
        // The addition is torch's mean of zero: it turns -0 into +0.
        *a = radius * cos + 0.0;
        *b = radius * sin + 0.0;
    }
}

fn scalar_fill(engine: &mut Mt19937, len: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(len + 1);
    while values.len() < len {
        let angle = TAU * engine.uniform_f64();
        let radius = (-2.0 * (-engine.uniform_f64()).ln_1p()).sqrt();
        values.push((radius * angle.cos()) as f32);
        values.push((radius * angle.sin()) as f32);
    }
    values.truncate(len);
    values
}

/// Natural logarithm of a normal `x` in (0, 1]: the Cephes polynomial in f32 with fused multiply-adds.
fn ln(x: f32) -> f32 {
    const POLYNOMIAL: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_87e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const LN2_HIGH: f32 = 0.693_359_4;
    let (mantissa, exponent) = split(x);
    let (m, e) = if mantissa < std::f32::consts::FRAC_1_SQRT_2 {
        (mantissa - 1.0 + mantissa, exponent - 1.0)
    } else {
        (mantissa - 1.0, exponent)
    };
    let square = m * m;
    let cubic = horner(m, &POLYNOMIAL) * m;
    let tail = cubic.mul_add(square, e * LN2_LOW) - 0.5 * square;
    e.mul_add(LN2_HIGH, m + tail)
}

/// `x = mantissa * 2^exponent` with the mantissa in [0.5, 1).
fn split(x: f32) -> (f32, f32) {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 126;
    (f32::from_bits(bits & 0x007f_ffff | 0.5f32.to_bits()), exponent as f32)
}

/// Sine and cosine of `x` in [0, 2 pi]: the Cephes polynomials in f32 with fused multiply-adds.
fn sin_cos(x: f32) -> (f32, f32) {
    const SINE: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
    const COSINE: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
    /// pi / 4 in three parts, of which the first two have few bits.
    const QUARTER_PI: [f32; 3] = [0.785_156_25, 2.418_756_5e-4, 3.774_895e-8];
    let octant = ((x * (4.0 / std::f32::consts::PI)) as u32 + 1) & !1;
    let turns = octant as f32;
    let x = QUARTER_PI.iter().fold(x, |x, part| turns.mul_add(-part, x));
    let z = x * x;
    let cosine = (horner(z, &COSINE) * z).mul_add(z, -0.5 * z) + 1.0;
    let sine = (horner(z, &SINE) * z).mul_add(x, x);
    let (sin, cos) = if octant & 2 == 0 { (sine, cosine) } else { (cosine, sine) };
    let sin = if octant & 4 == 0 { sin } else { -sin };
    let cos = if matches!(octant & 6, 2 | 4) { -cos } else { cos };
    (sin, cos)
}

fn horner(x: f32, coefficients: &[f32]) -> f32 {
    coefficients[1..].iter().fold(coefficients[0], |sum, &c| sum.mul_add(x, c))
}

/// The 32-bit Mersenne Twister.
struct Mt19937 {
    state: [u32; Self::N],
    next: usize,
}

impl Mt19937 {
    const N: usize = 624;
    const M: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [seed; Self::N];
        for i in 1..Self::N {
            let previous = state[i - 1];
            state[i] = (previous ^ previous >> 30).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: Self::N }
    }

    fn draw(&mut self) -> u32 {
        if self.next == Self::N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    fn twist(&mut self) {
        for i in 0..Self::N {
            let y = self.state[i] & 0x8000_0000 | self.state[(i + 1) % Self::N] & 0x7fff_ffff;
            let mask = if y & 1 == 0 { 0 } else { 0x9908_b0df };
            self.state[i] = self.state[(i + Self::M) % Self::N] ^ y >> 1 ^ mask;
        }
        self.next = 0;
    }

    /// A multiple of 2^-24 in [0, 1).
    fn uniform_f32(&mut self) -> f32 {
        (self.draw() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// A multiple of 2^-53 in [0, 1): high word first.
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.draw());
        let bits = high << 32 | u64::from(self.draw());
        (bits & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }
}
