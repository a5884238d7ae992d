//! What a checkpoint makes from what, and whether a request brings that.

use std::fmt;

use wan_model::{ModelKind, camera::CameraError};

use crate::{GenerateRequest, PipelineError};

/// What is made from what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Text to video.
    T2v,
    /// A first frame and text to video.
    I2v,
    /// A first frame, a last frame and text to video.
    Flf2v,
    /// Text, and a first frame or none, to video.
    Ti2v,
    /// A first frame, text and a camera path to a walk through that world.
    World,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::T2v => "t2v",
            Self::I2v => "i2v",
            Self::Flf2v => "flf2v",
            Self::Ti2v => "ti2v",
            Self::World => "world",
        })
    }
}

/// How many pictures and whether a camera path a task takes.
struct Needs {
    image: Need,
    last_image: Need,
    camera: Need,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Never,
    Optional,
    Always,
}

impl Task {
    /// The tasks of a kind of transformer, its own first; none for kinds without a pipeline.
    pub fn of(kind: &ModelKind) -> &'static [Self] {
        match kind {
            ModelKind::T2v => &[Self::T2v],
            ModelKind::ClipI2v { .. } => &[Self::I2v],
            ModelKind::Flf2v { .. } => &[Self::Flf2v],
            ModelKind::I2v => &[Self::I2v, Self::Flf2v],
            ModelKind::Ti2v => &[Self::Ti2v, Self::T2v, Self::I2v],
            ModelKind::LingBot { .. } => &[Self::World],
            ModelKind::Vace { .. } | ModelKind::S2v | ModelKind::Animate => &[],
        }
    }

    fn needs(self, kind: &ModelKind) -> Needs {
        use Need::{Always, Never, Optional};
        let (image, last_image, camera) = match self {
            Self::T2v => (Never, Never, Never),
            Self::I2v if *kind == ModelKind::I2v => (Always, Optional, Never),
            Self::I2v => (Always, Never, Never),
            Self::Flf2v => (Always, Always, Never),
            Self::Ti2v => (Optional, Never, Never),
            Self::World => (Always, Never, Optional),
        };
        Needs { image, last_image, camera }
    }
}

impl GenerateRequest {
    /// The task of this request, refused if a transformer of `kind` is not for it or the inputs do not fit it.
    pub(crate) fn checked_task(&self, kind: &ModelKind) -> Result<Task, PipelineError> {
        let possible = Task::of(kind);
        let task = self.task.or(possible.first().copied()).unwrap_or(Task::T2v);
        if !possible.contains(&task) {
            return Err(PipelineError::WrongTask { task, possible });
        }
        let needs = task.needs(kind);
        check("image", self.image.is_some(), needs.image, task)?;
        check("last image", self.last_image.is_some(), needs.last_image, task)?;
        check("camera path", self.camera.is_some(), needs.camera, task)?;
        self.check_actions(kind)?;
        Ok(task)
    }

    /// Models that move by keys need them.
    fn check_actions(&self, kind: &ModelKind) -> Result<(), PipelineError> {
        let without_keys = self.camera.as_ref().is_some_and(|path| path.actions().is_none());
        match kind {
            ModelKind::LingBot { control_dim: WITH_KEYS, .. } if without_keys => {
                Err(CameraError::NoActions.into())
            }
            _ => Ok(()),
        }
    }
}

/// Control values of a pixel where the camera is steered by directions and four keys.
pub(crate) const WITH_KEYS: usize = 7;

fn check(what: &'static str, given: bool, need: Need, task: Task) -> Result<(), PipelineError> {
    match (given, need) {
        (false, Need::Always) => Err(PipelineError::InputMissing { what, task }),
        (true, Need::Never) => Err(PipelineError::InputUnused { what, task }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_with_a_pipeline_has_its_own_task_first() {
        let own = |kind: &ModelKind| Task::of(kind).first().copied();
        assert_eq!(own(&ModelKind::T2v), Some(Task::T2v));
        assert_eq!(own(&ModelKind::I2v), Some(Task::I2v));
        assert_eq!(own(&ModelKind::Ti2v), Some(Task::Ti2v));
        assert_eq!(own(&ModelKind::LingBot { control_dim: 6, causal: false }), Some(Task::World));
        assert_eq!(own(&ModelKind::S2v), None);
    }
}
