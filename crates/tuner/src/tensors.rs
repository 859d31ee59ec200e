//! Tensors of many batches, joined and written to a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use tch::{Kind, TchError, Tensor};

/// Rows of batches in one tensor. Each batch is copied as it comes, so that no more than one of
/// them lies in memory twice.
pub(crate) struct Rows {
    /// At most so many rows will come.
    most: i64,
    filled: i64,
    /// Made when the first batch tells shape and type.
    whole: Option<Tensor>,
}

impl Rows {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most as i64, filled: 0, whole: None }
    }

    /// Appends `batch`, `[N, ...]`.
    pub(crate) fn push(&mut self, batch: &Tensor) -> Result<(), TchError> {
        let whole = match &mut self.whole {
            Some(whole) => whole,
            none => {
                let shape = [&[self.most], &batch.size()[1..]].concat();
                none.insert(Tensor::f_empty(shape, (batch.kind(), batch.device()))?)
            }
        };
        let rows = batch.size()[0];
        whole.f_narrow(0, self.filled, rows)?.f_copy_(batch)?;
        self.filled += rows;
        Ok(())
    }

    /// The rows that came; `None` if no batch did.
    pub(crate) fn finish(self) -> Result<Option<Tensor>, TchError> {
        self.whole.map(|whole| whole.f_narrow(0, 0, self.filled)).transpose()
    }
}

/// Writes named tensors as safetensors, row by row. The libraries' own functions replace what is at
/// `path`, even a device, or do not tell why the disk took no more.
pub(crate) fn write(tensors: &[(&str, &Tensor)], path: &Path) -> io::Result<()> {
    let mut tensors = tensors
        .iter()
        .map(|(name, tensor)| Ok((dtype(tensor.kind())?, *name, *tensor)))
        .collect::<io::Result<Vec<_>>>()?;
    // Wide elements first, which keeps all of them aligned.
    tensors.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let mut end = 0;
    let infos = tensors.iter().map(|(dtype, name, tensor)| {
        let start = end;
        end += bytes_of(tensor);
        let shape = tensor.size().into_iter().map(|side| side as usize).collect();
        (name.to_string(), TensorInfo { dtype: *dtype, shape, data_offsets: (start, end) })
    });
    let header = Metadata::new(None, infos.collect()).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut bytes = Vec::new();
    for (_, _, tensor) in tensors {
        for row in 0..tensor.size()[0] {
            let row = tensor.f_get(row).map_err(io::Error::other)?;
            bytes.resize(bytes_of(&row), 0);
            row.f_copy_data_u8(&mut bytes, row.numel()).map_err(io::Error::other)?;
            file.write_all(&bytes)?;
        }
    }
    file.flush()
}

fn bytes_of(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

fn dtype(kind: Kind) -> io::Result<Dtype> {
    Ok(match kind {
        Kind::Bool => Dtype::BOOL,
        Kind::Uint8 => Dtype::U8,
        Kind::Int8 => Dtype::I8,
        Kind::Int16 => Dtype::I16,
        Kind::Int => Dtype::I32,
        Kind::Int64 => Dtype::I64,
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        kind => return Err(io::Error::other(format!("safetensors has no {kind:?}"))),
    })
}
