//! What stands in for the training loop while a loader is measured.

use std::fmt;
use std::thread;
use std::time::Duration;

use loader::Batch;
use loader::datasets::compute_for;
use serde::{Deserialize, Serialize};
use tch::nn::{self, ModuleT, OptimizerConfig};
use tch::vision::{alexnet, densenet, mobilenet, resnet, squeezenet, vgg};
use tch::{Device, Kind};

use crate::TunerError;
use crate::config::check;

/// What is done with each batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumer {
    /// Nothing: how fast can the loader go?
    #[default]
    None,
    /// Sleeping for so many milliseconds, as a loop that waits for its GPU.
    StepMs(f64),
    /// Computing for so many milliseconds on one core.
    StepCpuMs(f64),
    /// A forward and a backward pass of a model, on the GPU if there is one.
    Model(String),
}

impl Consumer {
    /// Whether its numbers and names make sense.
    pub(crate) fn validate(&self) -> Result<(), TunerError> {
        match self {
            Self::None => Ok(()),
            Self::StepMs(ms) | Self::StepCpuMs(ms) => {
                let good = (0.001..=3_600_000.0).contains(ms);
                let expected = "milliseconds, from 0.001 to 3600000";
                check(good, "sweep.consumer", ms.to_string(), expected)
            }
            Self::Model(name) => {
                let known = MODELS.iter().any(|(known, _)| known == name);
                check(known, "sweep.consumer.model", format!("`{name}`"), KNOWN_MODELS)
            }
        }
    }

    /// Gets ready to take batches whose labels are below `classes`.
    pub(crate) fn start(&self, classes: usize) -> Result<Step, TunerError> {
        let duration = |ms: f64| Duration::from_secs_f64(ms / 1e3);
        Ok(match self {
            Self::None => Step::Nothing,
            Self::StepMs(ms) => Step::Sleep(duration(*ms)),
            Self::StepCpuMs(ms) => Step::Compute(duration(*ms)),
            Self::Model(name) => Step::Train(Box::new(Training::new(name, classes)?)),
        })
    }

    /// Seconds that it takes for a batch; `None` where that is not known before.
    pub fn step_s(&self) -> Option<f64> {
        match self {
            Self::StepMs(ms) | Self::StepCpuMs(ms) => Some(ms / 1e3),
            Self::None | Self::Model(_) => None,
        }
    }

    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        *self != Self::None
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::StepMs(ms) => write!(f, "sleeps {ms} ms for each batch"),
            Self::StepCpuMs(ms) => write!(f, "computes {ms} ms for each batch"),
            Self::Model(name) => write!(f, "trains `{name}`"),
        }
    }
}

type Build = fn(&nn::Path<'_>, i64) -> Box<dyn ModuleT>;

/// The models of [`tch::vision`] that can be trained as they are.
const MODELS: &[(&str, Build)] = &[
    ("alexnet", |path, classes| Box::new(alexnet::alexnet(path, classes))),
    ("densenet121", |path, classes| Box::new(densenet::densenet121(path, classes))),
    ("mobilenet_v2", |path, classes| Box::new(mobilenet::v2(path, classes))),
    ("resnet18", |path, classes| Box::new(resnet::resnet18(path, classes))),
    ("resnet34", |path, classes| Box::new(resnet::resnet34(path, classes))),
    ("resnet50", |path, classes| Box::new(resnet::resnet50(path, classes))),
    ("squeezenet1_1", |path, classes| Box::new(squeezenet::v1_1(path, classes))),
    ("vgg16", |path, classes| Box::new(vgg::vgg16(path, classes))),
];
const KNOWN_MODELS: &str = "one of `alexnet`, `densenet121`, `mobilenet_v2`, `resnet18`, \
     `resnet34`, `resnet50`, `squeezenet1_1`, `vgg16`";

/// A consumer at work.
pub(crate) enum Step {
    Nothing,
    Sleep(Duration),
    Compute(Duration),
    Train(Box<Training>),
}

impl Step {
    /// Takes a batch and does with it what the training loop would.
    pub(crate) fn take(&mut self, batch: Batch) -> Result<(), TunerError> {
        match self {
            Self::Nothing => {}
            Self::Sleep(time) => thread::sleep(*time),
            Self::Compute(time) => compute_for(*time),
            Self::Train(training) => training.step(batch)?,
        }
        Ok(())
    }
}

/// A model that learns.
pub(crate) struct Training {
    model: Box<dyn ModuleT>,
    optimizer: nn::Optimizer,
    device: Device,
    // Owns what the others work on.
    _store: nn::VarStore,
}

impl Training {
    fn new(name: &str, classes: usize) -> Result<Self, TunerError> {
        let build = MODELS.iter().find(|(known, _)| *known == name);
        let (_, build) = build.ok_or_else(|| TunerError::Bug(format!("no model `{name}`")))?;
        let device = loader::cuda::device();
        let store = nn::VarStore::new(device);
        let model = build(&store.root(), classes as i64);
        let optimizer = nn::sgd(0.9, 0.0, 0.0, false).build(&store, 1e-3)?;
        Ok(Self { model, optimizer, device, _store: store })
    }

    /// Forward, backward and update; waits for the device.
    fn step(&mut self, batch: Batch) -> Result<(), TunerError> {
        let no = |what| TunerError::NoModelInput { what };
        let batch = batch.try_to_device(self.device)?;
        let tensors = || batch.iter().map(|(_, tensor)| tensor);
        let is_image = |it: &&tch::Tensor| it.dim() == 4 && it.kind() == Kind::Float;
        let images = tensors().find(is_image).ok_or_else(|| no("float32 images [N, C, H, W]"))?;
        let is_label = |it: &&tch::Tensor| it.dim() == 1 && it.kind() == Kind::Int64;
        let labels = tensors().find(is_label).ok_or_else(|| no("int64 labels [N]"))?;
        let loss = self.model.forward_t(images, true).f_cross_entropy_loss::<tch::Tensor>(
            labels,
            None,
            tch::Reduction::Mean,
            -100,
            0.0,
        )?;
        self.optimizer.backward_step(&loss);
        // Waits for the device.
        loss.f_double_value(&[])?;
        Ok(())
    }
}
