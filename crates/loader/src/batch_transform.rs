//! Transforms of whole batches, such as MixUp.

use std::fmt;

use preproc::transform::{LabelledBatch, Scratch};
use preproc::{SampleRng, Transform};

use crate::engine::Filled;
use crate::{Field, LoaderError};

/// What is done to each batch, in turn.
#[derive(Debug, Default)]
pub(crate) struct BatchTransforms(Vec<BatchTransform>);

struct BatchTransform {
    images: String,
    labels: String,
    transform: Box<dyn Transform<LabelledBatch>>,
}

impl fmt::Debug for BatchTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.transform.name())
    }
}

impl BatchTransforms {
    pub(crate) fn add(
        &mut self,
        images: &str,
        labels: &str,
        transform: impl Transform<LabelledBatch> + 'static,
    ) {
        let (images, labels) = (images.to_owned(), labels.to_owned());
        self.0.push(BatchTransform { images, labels, transform: Box::new(transform) });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// If a field is not there. Of samples without a common shape that is not known before a batch.
    pub(crate) fn check(&self, fields: &[Field]) -> Result<(), LoaderError> {
        let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let mut named = self
            .0
            .iter()
            .flat_map(|one| [&one.images, &one.labels].map(|field| (one.transform.name(), field)));
        match named.find(|(_, field)| !fields.is_empty() && !known.contains(&field.as_str())) {
            Some((transform, field)) => Err(no_field(transform, field, known)),
            None => Ok(()),
        }
    }

    /// `filled`, batch number `batch`, transformed. `ranks` are this process's and how many there are.
    ///
    /// # Errors
    /// If a field is not there, or a transform fails.
    pub(crate) fn apply(
        &self,
        mut filled: Filled,
        (seed, epoch, batch): (u64, u64, u64),
        ranks: [u64; 2],
    ) -> Result<Filled, LoaderError> {
        let mut scratch = Scratch::default();
        let mut rng = SampleRng::of_batch(seed, epoch, batch, ranks);
        for BatchTransform { images, labels, transform } in &self.0 {
            let name = transform.name();
            let place = |field: &str| {
                let place = filled.names.iter().position(|name| name == field);
                let known = filled.names.iter().map(String::as_str);
                place.ok_or_else(|| no_field(name, field, known.collect()))
            };
            let places = [place(images)?, place(labels)?];
            let [images, labels] = places.map(|place| filled.tensors[place].shallow_clone());
            let mut both = (images, labels);
            transform.apply(&mut both, &mut rng, &mut scratch).map_err(|source| {
                LoaderError::BatchTransform {
                    transform: name.to_owned(),
                    batch,
                    epoch,
                    source: source.into(),
                }
            })?;
            [filled.tensors[places[0]], filled.tensors[places[1]]] = [both.0, both.1];
        }
        Ok(filled)
    }
}

fn no_field(transform: &str, field: &str, known: Vec<&str>) -> LoaderError {
    let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let (transform, field) = (transform.to_owned(), field.to_owned());
    LoaderError::BatchTransformField { transform, field, known }
}
