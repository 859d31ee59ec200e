//! Batches on their way to a GPU.

use tch::{Device, Tensor};

use crate::engine::Filled;
use crate::ffi::{CopyUnderWay, SideStream};
use crate::{LoaderError, cuda};

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

    fn begin(&self, tensors: &[Tensor]) -> Result<Vec<CopyUnderWay>, LoaderError> {
        tensors.iter().map(|tensor| self.stream.copy(tensor)).collect()
    }
}

/// A batch that is filled, and perhaps on its way to a device.
#[derive(Debug)]
pub(crate) struct UnderWay {
    filled: Filled,
    copies: Option<Vec<CopyUnderWay>>,
}

impl UnderWay {
    /// Begins the transfer, where there is one.
    pub(crate) fn new(filled: Filled, transfer: Option<&Transfer>) -> Result<Self, LoaderError> {
        let copies = transfer.map(|transfer| transfer.begin(&filled.tensors)).transpose()?;
        Ok(Self { filled, copies })
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
