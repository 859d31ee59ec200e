//! The samples of one shard: where their images lie, and their labels.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use super::archive::{Archive, Member, key_and_extension, lossy};
use super::error::TarError;
use super::{MAX_IMAGE, MAX_LABEL, Sample, TarOptions};
use crate::datasets::image_folder::EXTENSIONS;

/// Indexes the shard `file`, number `shard`.
///
/// # Errors
/// If the archive is damaged or a sample is not whole.
pub(super) fn index(
    path: &Path,
    file: &File,
    shard: u32,
    options: &TarOptions,
) -> Result<Vec<Sample>, TarError> {
    let mut archive = Archive::new(path, file)?;
    let mut samples = Vec::new();
    let mut keys = HashSet::new();
    let mut current: Option<Group> = None;
    let mut finish = |group: Option<Group>| -> Result<(), TarError> {
        let Some(group) = group else { return Ok(()) };
        let sample = group.sample(path, shard, options)?;
        if !keys.insert(group.key) {
            let (shard, key) = (path.to_owned(), sample.key.into());
            return Err(TarError::DuplicateKey { shard, key });
        }
        samples.push(sample);
        Ok(())
    };
    while let Some(member) = archive.next()? {
        let Some((key, extension)) = key_and_extension(&member.name) else { continue };
        if current.as_ref().is_none_or(|group| group.key != key) {
            finish(current.take())?;
        }
        let group = current.get_or_insert_with(|| Group::new(key));
        let extension = extension.to_lowercase();
        group.add(&mut archive, &member, extension, options)?;
    }
    finish(current)?;
    if samples.is_empty() {
        return Err(TarError::Empty { shard: path.to_owned() });
    }
    samples.shrink_to_fit();
    Ok(samples)
}

/// Members with one key that stand together.
struct Group {
    key: Vec<u8>,
    extensions: Vec<String>,
    /// Offset and size of each.
    images: Vec<(u64, u32)>,
    label: Option<i64>,
}

impl Group {
    fn new(key: &[u8]) -> Self {
        Self { key: key.to_vec(), extensions: Vec::new(), images: Vec::new(), label: None }
    }

    fn add(
        &mut self,
        archive: &mut Archive<'_>,
        member: &Member,
        extension: String,
        options: &TarOptions,
    ) -> Result<(), TarError> {
        let shard = || archive.path.to_owned();
        if self.extensions.contains(&extension) {
            return Err(TarError::DuplicateMember { shard: shard(), key: self.key(), extension });
        }
        let too_large = |limit: usize| TarError::TooLarge {
            shard: shard(),
            member: lossy(&member.name),
            bytes: member.size,
            limit: limit as u64,
        };
        let size = |limit| {
            let size = usize::try_from(member.size).ok().filter(|size| *size <= limit);
            size.ok_or_else(|| too_large(limit))
        };
        let is_image = match &options.image {
            Some(image) => image.eq_ignore_ascii_case(&extension),
            None => EXTENSIONS.contains(&extension.as_str()),
        };
        if is_image {
            self.images.push((member.offset, size(MAX_IMAGE)? as u32));
        } else if extension == options.label.extension() {
            let size = size(MAX_LABEL)?;
            let shard = shard();
            let bytes = archive.read(member.offset, size)?;
            let label = options.label.read(bytes);
            let failed = |source| TarError::Label { shard, key: self.key(), source };
            self.label = Some(label.map_err(failed)?);
        }
        self.extensions.push(extension);
        Ok(())
    }

    fn sample(&self, path: &Path, shard: u32, options: &TarOptions) -> Result<Sample, TarError> {
        let found = || {
            let some: Vec<_> = self.extensions.iter().take(8).map(|e| format!("`.{e}`")).collect();
            some.join(", ")
        };
        let (path, key) = (|| path.to_owned(), || self.key());
        let [(offset, size)] = self.images[..] else {
            return Err(if self.images.is_empty() {
                let wanted = options.image.clone().unwrap_or_else(|| EXTENSIONS.join(", "));
                TarError::NoImage { shard: path(), key: key(), found: found(), wanted }
            } else {
                TarError::SeveralImages { shard: path(), key: key(), found: found() }
            });
        };
        let Some(label) = self.label else {
            let wanted = options.label.extension();
            return Err(TarError::NoLabel { shard: path(), key: key(), found: found(), wanted });
        };
        let key = String::from_utf8_lossy(&self.key).into();
        Ok(Sample { key, offset, label, size, shard })
    }

    fn key(&self) -> String {
        lossy(&self.key)
    }
}
