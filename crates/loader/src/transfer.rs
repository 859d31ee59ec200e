//! Batches on their way to a GPU, and what becomes of them there.

use preproc::transform::Normalize;
use tch::{Device, Kind, Tensor};

use crate::engine::Filled;
use crate::ffi::{CopyUnderWay, SideStream};
use crate::{Dtype, Field, LoaderError, cuda};

/// Copies batches to a device before they are asked for.
#[derive(Debug)]
pub(crate) struct Transfer {
    stream: SideStream,
    /// Batches whose copies begin before the one ahead of them is asked for.
    ahead: usize,
}

impl Transfer {
    /// `None` for the CPU, where there is nothing to copy to.
    ///
    /// # Errors
    /// If there is no such device.
    pub(crate) fn new(device: Device, ahead: usize) -> Result<Option<Self>, LoaderError> {
        match device {
            Device::Cpu => Ok(None),
            Device::Cuda(number) => {
                cuda::load().map_err(|source| LoaderError::NoCuda { source })?;
                Ok(Some(Self { stream: SideStream::new(number)?, ahead }))
            }
            device => Err(LoaderError::Device { device: format!("{device:?}") }),
        }
    }

    pub(crate) fn ahead(&self) -> usize {
        self.ahead
    }

    /// Hands out the copies of a batch.
    pub(crate) fn begin(&self, filled: Filled) -> Result<UnderWay, LoaderError> {
        let copies: Result<_, _> =
            filled.tensors.iter().map(|tensor| self.stream.copy(tensor)).collect();
        Ok(UnderWay { filled, copies: Some(copies?) })
    }
}

/// A batch that is filled, and perhaps on its way to a device.
#[derive(Debug)]
pub(crate) struct UnderWay {
    filled: Filled,
    copies: Option<Vec<CopyUnderWay>>,
}

impl UnderWay {
    /// A batch that stays where it is.
    pub(crate) fn here(filled: Filled) -> Self {
        Self { filled, copies: None }
    }

    /// The batch where it belongs.
    pub(crate) fn finish(mut self) -> Result<Filled, LoaderError> {
        if let Some(copies) = self.copies {
            let tensors: Result<_, _> = copies.into_iter().map(CopyUnderWay::finish).collect();
            self.filled.tensors = tensors?;
        }
        Ok(self.filled)
    }
}

/// Which fields become float32 where the batch is to be.
#[derive(Debug)]
pub(crate) struct NormalizeFields(Vec<NormalizeField>);

#[derive(Debug)]
struct NormalizeField {
    /// Its place among the fields.
    field: usize,
    /// `[1, C, 1, ..]` or `[]` on the device: `x * scale - shift`.
    scale: Tensor,
    shift: Tensor,
}

impl NormalizeFields {
    /// # Errors
    /// If a field is not there, not uint8, named twice, or has no three channels.
    pub(crate) fn new(
        normalize: &[(String, Normalize)],
        fields: &[Field],
        device: Device,
    ) -> Result<Self, LoaderError> {
        let new = |(number, (name, by)): (usize, &(String, Normalize))| {
            let refuse =
                |reason: String| Err(LoaderError::NormalizeField { field: name.clone(), reason });
            if normalize[..number].iter().any(|(earlier, _)| earlier == name) {
                return refuse("it is asked for twice".to_owned());
            }
            let Some(at) = fields.iter().position(|field| field.name == *name) else {
                let known: Vec<_> =
                    fields.iter().map(|field| format!("`{}`", field.name)).collect();
                return refuse(match known.is_empty() {
                    true => "samples have no common shape\nhint: convert the batch".to_owned(),
                    false => format!("there are only {}", known.join(", ")),
                });
            };
            let Field { shape, dtype, .. } = &fields[at];
            if *dtype != Dtype::Uint8 {
                return refuse(format!(
                    "it is {dtype:?}, and only bytes can be\nhint: leave it out"
                ));
            }
            let by_channel = *by != Normalize::IDENTITY;
            if by_channel && shape.first() != Some(&3) {
                return refuse(format!("its samples are {shape:?}, not of three channels first"));
            }
            let mut broadcast = vec![1; shape.len() + 1];
            broadcast[usize::from(by_channel)] = if by_channel { 3 } else { 1 };
            let tensor = |of: fn(f32, f32) -> f32| -> Result<Tensor, LoaderError> {
                let all = by.mean.iter().zip(&by.std);
                let values: Vec<f32> = all.map(|(mean, std)| of(*mean, *std)).collect();
                let values = if by_channel { &values[..] } else { &values[..1] };
                let tensor = Tensor::f_from_slice(values)?.f_view(&broadcast[..])?;
                Ok(tensor.f_to_device(device)?)
            };
            let scale = tensor(|_, std| 1.0 / (255.0 * std))?;
            Ok(NormalizeField { field: at, scale, shift: tensor(|mean, std| mean / std)? })
        };
        normalize.iter().enumerate().map(new).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Float32 in place of the bytes, on the device where they are.
    pub(crate) fn apply(&self, mut filled: Filled) -> Result<Filled, LoaderError> {
        for NormalizeField { field, scale, shift } in &self.0 {
            let tensor = &mut filled.tensors[*field];
            *tensor = tensor.f_to_kind(Kind::Float)?.f_mul_(scale)?.f_sub_(shift)?;
        }
        Ok(filled)
    }
}
