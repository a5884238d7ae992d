//! The convolutions and norms of the autoencoder's stages for 480x832, four frames at a time as it streams them.

use burn::tensor::DType;
use wan_kernels::{Conv3dOptions, channel_norm, conv3d, reference};

use super::{Case, Cost, Forms, cases::Inputs};

/// One convolution: channels in and out, kernel, stride, and frames, rows and columns of the input.
#[derive(Clone, Copy)]
struct Stage {
    channels: [usize; 2],
    kernel: [usize; 3],
    stride: [usize; 3],
    input: [usize; 3],
}

const fn stage(channels: [usize; 2], kernel: [usize; 3], input: [usize; 3]) -> Stage {
    Stage { channels, kernel, stride: [1; 3], input }
}

const STAGES: [Stage; 10] = [
    stage([16, 384], [3, 3, 3], [1, 60, 104]),
    stage([384, 384], [3, 3, 3], [1, 60, 104]),
    stage([384, 768], [3, 1, 1], [1, 60, 104]),
    stage([384, 192], [1, 3, 3], [2, 120, 208]),
    stage([384, 384], [3, 3, 3], [2, 120, 208]),
    stage([192, 192], [3, 3, 3], [4, 240, 416]),
    stage([96, 96], [3, 3, 3], [4, 60, 104]),
    stage([96, 96], [3, 3, 3], [4, 480, 832]),
    stage([96, 3], [3, 3, 3], [4, 480, 832]),
    Stage { stride: [1, 2, 2], ..stage([96, 96], [1, 3, 3], [4, 480, 832]) },
];

/// Channels, and frames, rows and columns, of what is normalised before a convolution.
const NORMS: [(usize, [usize; 3]); 4] =
    [(384, [1, 60, 104]), (384, [2, 120, 208]), (192, [4, 240, 416]), (96, [4, 480, 832])];

pub(super) fn cases(dtype: DType) -> Vec<Case> {
    let norms = NORMS.map(|(channels, size)| norm(dtype, channels, size));
    STAGES.map(|stage| case(dtype, stage)).into_iter().chain(norms).collect()
}

impl Stage {
    /// Frames before the first, which are there as history; and the rim in space.
    fn options(self) -> Conv3dOptions {
        let [time, space, _] = self.kernel;
        let rim = match (space, self.stride[1]) {
            (1, _) => (0, 0),
            (_, 1) => (1, 1),
            _ => (0, 1),
        };
        Conv3dOptions { stride: self.stride, padding: [(time - 1, 0), rim, rim] }
    }

    fn cost(self, dtype: DType) -> Cost {
        let [inputs, outputs] = self.channels;
        let [frames, rows, columns] = self.input;
        let pixels = frames * rows.div_ceil(self.stride[1]) * columns.div_ceil(self.stride[2]);
        let taps = self.kernel.iter().product::<usize>();
        let read = inputs * (frames + self.kernel[0] - 1) * rows * columns + inputs * outputs * taps;
        Cost {
            flops: 2.0 * (inputs * outputs * taps * pixels) as f64,
            bytes: ((read + outputs * pixels) * dtype.size()) as f64,
        }
    }
}

fn case(dtype: DType, stage: Stage) -> Case {
    let Stage { channels: [inputs_, outputs], kernel: [kt, kh, kw], input: [frames, rows, columns], .. } =
        stage;
    let forms = move |inputs: &Inputs| {
        let video = |frames: usize| {
            let flat = inputs.random([inputs_ * frames, rows, columns]);
            flat.reshape([1, inputs_, frames, rows, columns])
        };
        let (x, history) = (video(frames), (kt > 1).then(|| video(kt - 1)));
        let weight = inputs.random([outputs, inputs_, kt * kh * kw]).reshape([outputs, inputs_, kt, kh, kw]);
        let bias = Some(inputs.random([outputs]));
        let own = (x.clone(), weight.clone(), bias.clone(), history.clone());
        Forms {
            custom: Box::new(move || {
                let (x, weight, bias, history) = own.clone();
                drop(conv3d(x, weight, bias, history, stage.options()));
            }),
            reference: Box::new(move || {
                let (x, weight) = (x.clone(), weight.clone());
                drop(reference::conv3d(x, weight, bias.clone(), history.clone(), stage.options()));
            }),
        }
    };
    Case {
        operation: "conv3d",
        shape: format!("{inputs_}->{outputs} {kt}x{kh}x{kw} /{}, {frames}x{rows}x{columns}", stage.stride[1]),
        dtype,
        cost: stage.cost(dtype),
        largest: inputs_.max(outputs) * frames * rows * columns,
        forms: Box::new(forms),
    }
}

fn norm(dtype: DType, channels: usize, [frames, rows, columns]: [usize; 3]) -> Case {
    let forms = move |inputs: &Inputs| {
        let flat = inputs.random([channels * frames, rows, columns]);
        let x = flat.reshape([1, channels, frames, rows, columns]);
        let own = (x, inputs.random_f32([channels]));
        let plain = own.clone();
        Forms {
            custom: Box::new(move || drop(channel_norm(own.0.clone(), own.1.clone(), true))),
            reference: Box::new(move || {
                drop(reference::channel_norm(plain.0.clone(), plain.1.clone(), true))
            }),
        }
    };
    let elements = channels * frames * rows * columns;
    Case {
        operation: "channel_norm",
        shape: format!("{channels}, {frames}x{rows}x{columns}"),
        dtype,
        cost: Cost { flops: 0.0, bytes: (2 * elements * dtype.size()) as f64 },
        largest: elements,
        forms: Box::new(forms),
    }
}
