//! A run between two steps: what it goes on from, on the device and on the host.

use std::collections::BTreeMap;

use burn::prelude::*;
use wan_model::{DecodeStream, LayerMemory, Sampler, VaeDecoder};

use crate::{Denoise, ImageLatents, PipelineError, Plan};

const LATENTS: &str = "latents";
const CONTEXT: &str = "text.context";
const CONTEXT_NULL: &str = "text.context_null";
const IMAGE_STATES: &str = "image.states";
const IMAGE_BESIDE: &str = "image.beside";
const IMAGE_FIRST_FRAME: &str = "image.first_frame";
/// Before the names of what the solver remembers.
const SAMPLER: &str = "sampler.";

/// A run between two of its steps, on the device.
pub struct State {
    pub(crate) told: Told,
    pub(crate) denoise: Denoise,
}

/// What every expert is told, not embedded yet.
pub(crate) struct Told {
    /// `[1, n, text_dim]` of the prompt and, if any step is guided, of the negative prompt.
    pub rows: Vec<Tensor<3>>,
    /// `[pictures, tokens, image_dim]`.
    pub states: Option<Tensor<3>>,
}

/// The same on the host: with its plan, all that [`crate::resume`] needs to go on to the same bits.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Steps that are done.
    pub step: usize,
    /// `latents`, `sampler.*`, `text.*` and `image.*`, as they are on the device.
    pub tensors: BTreeMap<String, TensorData>,
}

/// What the decoder remembered before latent frame `frame`.
pub struct DecoderStart {
    pub frame: usize,
    pub layers: LayerCounts,
    pub load: LoadTensor,
}

/// Gives the tensor of a name that [`decoder_memory`] gave; they are asked for one by one.
pub type LoadTensor = Box<dyn FnMut(&str) -> Option<TensorData>>;

/// Of each tile's layers whether they have seen a frame, and how many they remember.
pub type LayerCounts = Vec<Vec<(bool, usize)>>;

/// Where a run goes on.
pub struct Start {
    pub snapshot: Snapshot,
    /// If frames are decoded already.
    pub decoder: Option<DecoderStart>,
}

/// Where a run may be left and gone on from.
pub enum Pause<'a> {
    /// Between two steps, or before the first frame.
    Denoise(&'a State),
    /// Between two latent frames.
    Decode(&'a DecodeStream<'a>),
}

impl State {
    /// Steps that are done.
    pub fn step(&self) -> usize {
        self.denoise.index()
    }

    /// Reads everything back.
    pub fn snapshot(&self) -> Snapshot {
        let Self { told: Told { rows, states }, denoise } = self;
        let mut tensors = BTreeMap::new();
        let mut put = |name: &str, data: TensorData| drop(tensors.insert(name.to_owned(), owned(&data)));
        put(LATENTS, denoise.latents().to_data());
        for (name, tensor) in denoise.sampler().memory() {
            put(&format!("{SAMPLER}{name}"), tensor.to_data());
        }
        for (name, rows) in [CONTEXT, CONTEXT_NULL].into_iter().zip(rows) {
            put(name, rows.to_data());
        }
        states.iter().for_each(|states| put(IMAGE_STATES, states.to_data()));
        match denoise.image() {
            None => {}
            Some(ImageLatents::Beside(latents)) => put(IMAGE_BESIDE, latents.to_data()),
            Some(ImageLatents::FirstFrame { latents, .. }) => put(IMAGE_FIRST_FRAME, latents.to_data()),
        }
        Snapshot { step: self.step(), tensors }
    }
}

impl Snapshot {
    /// The state of `plan`'s run that this was read from.
    ///
    /// # Errors
    /// [`PipelineError::Snapshot`] if it is not of such a run.
    pub(crate) fn restore(mut self, plan: &Plan, device: &Device) -> Result<State, PipelineError> {
        if let Some((name, _)) = self.tensors.iter().find(|(_, data)| !is_finite(data)) {
            return Err(PipelineError::Snapshot(format!("{name} holds values that are not finite")));
        }
        let step = self.step;
        let sampler: Vec<_> = self.tensors.keys().filter_map(|name| name.strip_prefix(SAMPLER)).collect();
        let sampler: Vec<_> = sampler.into_iter().map(str::to_owned).collect();
        let latent = |tensor: Tensor<5>, name: &str| check(name, &tensor, plan.latent.dims());
        let mut memory = Vec::new();
        for name in sampler {
            let key = format!("{SAMPLER}{name}");
            let tensor = self.take(&key, device)?;
            memory.push((name, latent(tensor.ok_or_else(|| missing(&key))?, &key)?));
        }
        let sampler = Sampler::resume(plan.solver, plan.schedule.clone(), step, memory)
            .map_err(|error| PipelineError::Snapshot(error.to_string()))?;
        let latents = self.take(LATENTS, device)?.ok_or_else(|| missing(LATENTS))?;
        let image = self.image(plan, device)?;
        let denoise = Denoise::resume(sampler, latent(latents, LATENTS)?, image);
        Ok(State { told: self.told(plan, device)?, denoise })
    }

    fn told(&mut self, plan: &Plan, device: &Device) -> Result<Told, PipelineError> {
        let context = self.take(CONTEXT, device)?.ok_or_else(|| missing(CONTEXT))?;
        let null = self.take(CONTEXT_NULL, device)?;
        if null.is_some() != plan.guided() {
            return Err(missing(CONTEXT_NULL));
        }
        let rows = std::iter::once(context).chain(null).collect();
        Ok(Told { rows, states: self.take(IMAGE_STATES, device)? })
    }

    fn image(&mut self, plan: &Plan, device: &Device) -> Result<Option<ImageLatents>, PipelineError> {
        let beside = self.take(IMAGE_BESIDE, device)?.map(ImageLatents::Beside);
        let first = self.take(IMAGE_FIRST_FRAME, device)?;
        let first = first.map(|latents| ImageLatents::FirstFrame { latents, rules: plan.rules });
        let image = beside.or(first);
        if image.is_some() == plan.images.is_some() { Ok(image) } else { Err(missing("image.*")) }
    }

    /// A tensor of `D` dimensions; `None` if there is none of that name.
    fn take<const D: usize>(
        &mut self,
        name: &str,
        device: &Device,
    ) -> Result<Option<Tensor<D>>, PipelineError> {
        let Some(data) = self.tensors.remove(name) else { return Ok(None) };
        let (found, dtype) = (data.rank(), data.dtype());
        if found != D {
            return Err(PipelineError::Snapshot(format!("{name} has {found} dimensions, not {D}")));
        }
        Ok(Some(Tensor::from_data(data, (device, dtype))))
    }
}

fn is_finite(data: &TensorData) -> bool {
    let values = data.clone().convert::<f32>().try_into_vec::<f32>();
    values.is_ok_and(|values| values.iter().all(|value| value.is_finite()))
}

/// What is read back may be the device's own memory, which later work writes to.
fn owned(data: &TensorData) -> TensorData {
    TensorData::from_bytes_vec(data.as_bytes().to_vec(), data.shape().clone(), data.dtype())
}

fn missing(name: &str) -> PipelineError {
    PipelineError::Snapshot(format!("{name} is not that of this run"))
}

fn check(name: &str, tensor: &Tensor<5>, expected: [usize; 5]) -> Result<Tensor<5>, PipelineError> {
    if tensor.dims() == expected {
        return Ok(tensor.clone());
    }
    Err(PipelineError::Snapshot(format!("{name} has shape {:?}, not {expected:?}", tensor.dims())))
}

/// What a decoder under way remembers, by names under which [`DecoderStart::load`] gives it back; `[1, c, 1, h, w]` each,
/// still on the device.
pub fn decoder_memory(stream: &DecodeStream<'_>) -> (LayerCounts, Vec<(String, Tensor<5>)>) {
    let (mut counts, mut tensors) = (Vec::new(), Vec::new());
    for (tile, layers) in stream.memory().into_iter().enumerate() {
        counts.push(layers.iter().map(|layer| (layer.started, layer.frames.len())).collect());
        for (layer, LayerMemory { frames, .. }) in layers.into_iter().enumerate() {
            let named = |(frame, tensor)| (frame_name(tile, layer, frame), tensor);
            tensors.extend(frames.into_iter().enumerate().map(named));
        }
    }
    (counts, tensors)
}

fn frame_name(tile: usize, layer: usize, frame: usize) -> String {
    format!("{tile}.{layer}.{frame}")
}

impl DecoderStart {
    /// The stream that goes on from here.
    pub(crate) fn restore(
        mut self,
        decoder: &VaeDecoder,
        latents: Tensor<5>,
    ) -> Result<DecodeStream<'_>, PipelineError> {
        let device = latents.device();
        let mut memory = Vec::new();
        for (tile, layers) in std::mem::take(&mut self.layers).into_iter().enumerate() {
            let mut layer = |(layer, (started, count))| {
                let frames = (0..count).map(|frame| self.take(&frame_name(tile, layer, frame), &device));
                Ok(LayerMemory { started, frames: frames.collect::<Result<_, PipelineError>>()? })
            };
            let layers = layers.into_iter().enumerate().map(&mut layer);
            memory.push(layers.collect::<Result<_, PipelineError>>()?);
        }
        let other = || PipelineError::Snapshot("the decoder's memory is that of other tiles".to_owned());
        decoder.stream_from(latents, self.frame, memory).ok_or_else(other)
    }

    fn take(&mut self, name: &str, device: &Device) -> Result<Tensor<5>, PipelineError> {
        let data = (self.load)(name).filter(|data| data.rank() == 5).ok_or_else(|| missing(name))?;
        let dtype = data.dtype();
        Ok(Tensor::from_data(data, (device, dtype)))
    }
}
