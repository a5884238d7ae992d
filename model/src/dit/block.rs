//! One transformer block.

use burn::{
    module::{Module, Param},
    prelude::*,
};
use tracing::instrument;
use wan_kernels::RopeTable;

use super::{
    Attention, Conditions, FeedForward,
    camera::{CameraContext, CameraInjection, CameraModulation},
    context::{Context, KeysValues},
    norm::{add_gated, modulate},
};
use crate::{Linear, WanConfig, linear::LargeLinears, norm::AffineNorm, param::param};

/// Self-attention, cross-attention and feed-forward under six modulations.
///
/// The residual stream, norms and modulation are f32 whatever the weights are: 5120 channels of bf16 sums drift
/// visibly over 40 blocks.
#[derive(Module, Debug)]
pub struct WanBlock {
    modulation: Param<Tensor<2>>,
    self_attn: Attention,
    camera: Option<CameraInjection>,
    norm3: AffineNorm,
    cross_attn: Attention,
    ffn: FeedForward,
    #[module(skip)]
    eps: f64,
}

/// What all blocks of a pass read.
pub(super) struct Shared<'a> {
    /// `[n, 6, d]` the projected timestep: one row, or one for each latent frame.
    pub(super) time: Tensor<3>,
    pub(super) image: Option<&'a Context>,
    pub(super) camera: Option<&'a CameraContext>,
    pub(super) rope: &'a RopeTable,
}

/// What one block reads in a step, whatever the text.
#[derive(Clone)]
pub(super) struct Reading {
    camera: Option<CameraModulation>,
    image: Option<KeysValues>,
    /// Shift, scale and gate of self-attention, then of the feed-forward, `[n, 1, d]` each.
    rows: [Tensor<3>; 6],
}

impl WanBlock {
    pub(super) fn new(config: &WanConfig, device: &Device) -> Self {
        Self {
            modulation: param([6, config.dim], device),
            self_attn: Attention::among_video(config, device),
            camera: CameraInjection::new(config, device),
            norm3: AffineNorm::new(config.dim, config.eps, device),
            cross_attn: Attention::to_prompt(config, device),
            ffn: FeedForward::new(config, device),
            eps: config.eps,
        }
    }

    /// What this block, number `index`, reads of `shared`.
    pub(super) fn read(&self, index: usize, shared: &Shared) -> Reading {
        let injection = shared.camera.zip(self.camera.as_ref());
        Reading {
            camera: injection.map(|(camera, part)| camera.modulation(index, part)),
            image: shared.image.and_then(|image| self.cross_attn.image(index, image)),
            rows: self.rows(shared.time.clone()),
        }
    }

    /// Makes what is kept of `conditions` for this block, number `index`.
    pub(super) fn keep<const N: usize>(&self, index: usize, conditions: &Conditions<'_, N>) {
        let &Conditions { texts, image, camera } = conditions;
        for text in texts.into_iter().filter(|text| text.kept.reaches(index)) {
            drop(self.read_text(index, text));
        }
        if let Some(image) = image.filter(|image| image.kept.reaches(index)) {
            drop(self.cross_attn.image(index, image));
        }
        let camera = camera.filter(|camera| camera.kept.reaches(index)).zip(self.camera.as_ref());
        if let Some((camera, part)) = camera {
            drop(camera.modulation(index, part));
        }
    }

    /// What this block, number `index`, reads of `text`.
    pub(super) fn read_text(&self, index: usize, text: &Context) -> KeysValues {
        self.cross_attn.text(index, text)
    }

    /// `[1, l, d]` to `[1, l, d]`.
    #[instrument(name = "block", level = "trace", skip_all)]
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        rope: &RopeTable,
        text: KeysValues,
        reading: Reading,
    ) -> Tensor<3> {
        let Reading { camera, image, rows: [shift_sa, scale_sa, gate_sa, shift_ff, scale_ff, gate_ff] } =
            reading;
        let y = self.self_attn.among(modulate(x.clone(), scale_sa, shift_sa, self.eps), rope);
        let x = add_gated(x, y, gate_sa);
        let x = match camera {
            Some(camera) => camera.apply(x),
            None => x,
        };
        let x = x.clone() + self.cross_attn.to(self.norm3.forward(x), text, image);
        let y = self.ffn.forward(modulate(x.clone(), scale_ff, shift_ff, self.eps));
        add_gated(x, y, gate_ff)
    }

    /// The six rows `modulation + time`, `[n, 1, d]` each.
    fn rows(&self, time: Tensor<3>) -> [Tensor<3>; 6] {
        let rows = time + self.modulation.val().unsqueeze::<3>();
        std::array::from_fn(|k| rows.clone().narrow(1, k, 1))
    }
}

impl LargeLinears for WanBlock {
    fn large_linears(&mut self, at: &str, visit: &mut dyn FnMut(&str, &mut Linear)) {
        self.self_attn.large_linears(&format!("{at}.self_attn"), visit);
        self.cross_attn.large_linears(&format!("{at}.cross_attn"), visit);
        self.ffn.large_linears(&format!("{at}.ffn"), visit);
        if let Some(camera) = &mut self.camera {
            camera.large_linears(&format!("{at}.camera"), visit);
        }
    }
}
