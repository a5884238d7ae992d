//! Jobs one after the other, with what the next one needs still loaded.

use wan_import::Checkpoint;
use wan_pipeline::Kept;

use super::{EngineError, Event, Opened, Request, carry_out, request::generate_request};
use crate::{CancelToken, settings::Settings};

/// An opened model and what is loaded of it, for as long as jobs want the same one in the same way.
pub struct Session {
    /// Whether transformers are freed while frames are decoded.
    lean: bool,
    open: Option<Open>,
}

struct Open {
    key: Key,
    opened: Opened,
    kept: Option<Kept>,
}

/// What jobs must have in common to share what is loaded.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    settings: Settings,
    device: String,
}

impl Key {
    fn of(request: &Request) -> Self {
        let all = request.settings.clone();
        let settings = Settings {
            model: all.model,
            dit: all.dit,
            dit_high: all.dit_high,
            vae: all.vae,
            text_encoder: all.text_encoder,
            image_encoder: all.image_encoder,
            tokenizer: all.tokenizer,
            dtype: all.dtype,
            quant: all.quant,
            vae_dtype: all.vae_dtype,
            offload: all.offload,
            vae_tiling: all.vae_tiling,
            memory_limit: all.memory_limit,
            ..Settings::default()
        };
        Self { settings, device: format!("{:?}", request.device) }
    }
}

impl Session {
    /// Nothing is loaded. A `lean` one frees transformers before frames are decoded.
    pub fn new(lean: bool) -> Self {
        Self { lean, open: None }
    }

    /// As [`super::run`]. `ahead` are jobs that will follow; the prompts of those with the same model are encoded
    /// with this one's.
    pub fn run(
        &mut self,
        request: &Request,
        ahead: &[&Request],
        cancel: &CancelToken,
        events: &mut dyn FnMut(Event),
    ) -> Result<(), EngineError> {
        let lean = self.lean;
        let open = self.opened(request)?;
        let same = ahead.iter().filter(|next| Key::of(next) == open.key);
        let ahead = same.flat_map(|next| prompts(next, open.opened.checkpoint())).collect();
        let kept = open.kept.get_or_insert_default();
        (kept.ahead, kept.beside_decoder) = (ahead, !lean);
        carry_out(request, &open.opened, &mut open.kept, || None, cancel, events)
    }

    /// Everything that [`Self::run`] checks before it loads weights.
    pub fn check(&mut self, request: &Request) -> Result<(), EngineError> {
        let checkpoint = self.opened(request)?.opened.checkpoint();
        generate_request(&request.settings, checkpoint)?.plan(checkpoint)?;
        Ok(())
    }

    /// The model of `request`, opened anew unless it is the one of the job before.
    fn opened(&mut self, request: &Request) -> Result<&mut Open, EngineError> {
        let key = Key::of(request);
        if let Some(open) = self.open.take_if(|open| open.key == key) {
            return Ok(self.open.insert(open));
        }
        // Goes before the next one comes.
        self.open = None;
        let opened = Opened::new(&request.settings)?;
        Ok(self.open.insert(Open { key, opened, kept: None }))
    }
}

/// Prompts of a job that can be carried out; one that cannot says why in its own turn.
fn prompts(request: &Request, checkpoint: &Checkpoint) -> Vec<String> {
    let planned = generate_request(&request.settings, checkpoint);
    let planned = planned.ok().and_then(|planned| planned.plan(checkpoint).ok());
    planned.map(|plan| plan.prompts().into_iter().map(str::to_owned).collect()).unwrap_or_default()
}
