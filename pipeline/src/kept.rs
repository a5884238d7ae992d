//! What stays loaded from one run of a checkpoint to the next.

use std::collections::HashMap;

use burn::{prelude::*, tensor::FloatDType};
use wan_import::Quant;
use wan_model::{VaeDecoder, WanTransformer};

use crate::Placement;

/// Encoded prompts and networks of one checkpoint on one device, in one precision. Whoever changes any of these starts
/// with an empty one.
#[derive(Default)]
pub struct Kept {
    /// Prompts of later runs: the first one that has to be encoded takes these along, so that the text encoder passes
    /// through memory once for all.
    pub ahead: Vec<String>,
    /// Whether transformers stay while frames are decoded.
    pub beside_decoder: bool,
    /// Whether of two transformers both stay; otherwise the one goes before the other comes.
    pub both: bool,
    /// Context rows `[1, n, text_dim]` by their text.
    rows: HashMap<String, Tensor<3>>,
    transformers: Vec<(Held, WanTransformer)>,
    decoder: Option<VaeDecoder>,
}

/// Which transformer, and how it is held.
#[derive(PartialEq)]
struct Held {
    high: bool,
    dtype: FloatDType,
    quant: Option<Quant>,
    streamed: bool,
}

impl Held {
    fn new(high: bool, placement: &Placement) -> Self {
        let &Placement { dtype, quant, stream_blocks, .. } = placement;
        Self { high, dtype, quant, streamed: stream_blocks }
    }
}

impl Kept {
    /// Lets the networks go; whether there were any.
    pub fn forget_networks(&mut self) -> bool {
        let decoder = self.decoder.take().is_some();
        !std::mem::take(&mut self.transformers).is_empty() || decoder
    }

    pub fn holds_transformers(&self) -> bool {
        !self.transformers.is_empty()
    }

    /// Of `prompts` and those ahead the ones to encode, each once; none if those of `prompts` are all known. What was
    /// kept of other prompts goes.
    pub(crate) fn next_prompts(&mut self, prompts: &[&str]) -> Vec<String> {
        if prompts.iter().all(|prompt| self.rows.contains_key(*prompt)) {
            return Vec::new();
        }
        self.rows.clear();
        let mut all: Vec<String> = prompts.iter().map(ToString::to_string).collect();
        all.append(&mut self.ahead);
        all.sort();
        all.dedup();
        all
    }

    pub(crate) fn put_rows(&mut self, prompts: Vec<String>, rows: Vec<Tensor<3>>) {
        self.rows.extend(prompts.into_iter().zip(rows));
    }

    /// `None` unless all are known.
    pub(crate) fn rows(&self, prompts: &[&str]) -> Option<Vec<Tensor<3>>> {
        prompts.iter().map(|prompt| self.rows.get(*prompt).cloned()).collect()
    }

    /// The transformer for `high` or low noise, held as `placement` says. Any that has no place beside it goes.
    pub(crate) fn take_transformer(&mut self, high: bool, placement: &Placement) -> Option<WanTransformer> {
        let (own, other) = (Held::new(high, placement), Held::new(!high, placement));
        let mut all = std::mem::take(&mut self.transformers);
        let found = all.iter().position(|(held, _)| *held == own).map(|at| all.swap_remove(at).1);
        all.retain(|(held, _)| self.both && *held == other);
        self.transformers = all;
        found
    }

    pub(crate) fn put_transformer(&mut self, high: bool, placement: &Placement, transformer: WanTransformer) {
        self.transformers.push((Held::new(high, placement), transformer));
    }

    /// Whether the transformer for `high` or low noise is here.
    pub(crate) fn holds(&self, high: bool) -> bool {
        self.transformers.iter().any(|(held, _)| held.high == high)
    }

    /// Makes room for the decoder's work; whether there was something to free.
    pub(crate) fn make_room_to_decode(&mut self) -> bool {
        let frees = !self.beside_decoder && self.holds_transformers();
        if frees {
            self.transformers.clear();
        }
        frees
    }

    pub(crate) fn decoder(&self) -> Option<VaeDecoder> {
        self.decoder.clone()
    }

    pub(crate) fn put_decoder(&mut self, decoder: &VaeDecoder) {
        self.decoder = Some(decoder.clone());
    }
}
