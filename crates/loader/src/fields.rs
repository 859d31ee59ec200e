//! The memory of one sample: its place in a batch, or memory of its own.

#![expect(unsafe_code, reason = "typed slices of memory that several threads write, each its part")]

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use half::{bf16, f16};
use preproc::SampleRng;

use crate::Dtype;
use crate::{Field, Slot};

/// Where a field of a batch begins, and what one sample of it is.
pub(crate) struct FieldMemory {
    pub(crate) base: NonNull<u8>,
    pub(crate) elements: usize,
    pub(crate) dtype: Dtype,
}

// SAFETY: `base` points into memory whose owner keeps it alive, and which is used through
// `Fields` alone: no two of them cover the same bytes.
unsafe impl Send for FieldMemory {}
// SAFETY: as above.
unsafe impl Sync for FieldMemory {}

/// The memory of one sample: a slice for each [`Field`] of the data set.
///
/// It holds whatever an earlier batch left: every element must be written.
pub struct Fields<'a> {
    memory: &'a [FieldMemory],
    slot: usize,
    exclusive: PhantomData<&'a mut ()>,
}

impl<'a> Fields<'a> {
    /// Sample number `slot` of `memory`.
    ///
    /// # Safety
    /// Each field's memory must have room for `slot + 1` samples, be initialised and aligned for
    /// its type, and nobody else may use this sample's part of it as long as the value lives.
    pub(crate) unsafe fn new(memory: &'a [FieldMemory], slot: usize) -> Self {
        Self { memory, slot, exclusive: PhantomData }
    }

    /// The elements of the data set's field number `field`, in row-major order.
    ///
    /// # Panics
    /// If there is no such field, or its type is not `T`.
    pub fn get_mut<T: Element>(&mut self, field: usize) -> &mut [T] {
        let FieldMemory { base, elements, dtype } = self.memory(field);
        assert!(*dtype == T::DTYPE, "field {field} holds {dtype:?}, not {:?}", T::DTYPE);
        // SAFETY: `new`'s caller vouches for the memory; every bit pattern is a value of `T`; the
        // slice borrows this value exclusively.
        unsafe {
            let first = base.cast::<T>().add(self.slot * elements);
            std::slice::from_raw_parts_mut(first.as_ptr(), *elements)
        }
    }

    /// The same memory as bytes: numbers lie in it as the machine has them, little-endian.
    ///
    /// # Panics
    /// If there is no such field, or its type is [`Dtype::Bool`], of which not every byte is a
    /// value.
    pub fn bytes_mut(&mut self, field: usize) -> &mut [u8] {
        let FieldMemory { dtype, .. } = self.memory(field);
        assert!(*dtype != Dtype::Bool, "field {field} holds Bool, which is not written as bytes");
        self.raw_mut(field)
    }

    /// As [`bytes_mut`](Self::bytes_mut), of any type: for bytes that were written here as that
    /// type before.
    pub(crate) fn raw_mut(&mut self, field: usize) -> &mut [u8] {
        let FieldMemory { base, elements, dtype } = self.memory(field);
        let bytes = elements * dtype.bytes();
        // SAFETY: `new`'s caller vouches for the memory; the slice borrows this value exclusively.
        unsafe {
            let first = base.add(self.slot * bytes);
            std::slice::from_raw_parts_mut(first.as_ptr(), bytes)
        }
    }

    fn memory(&self, field: usize) -> &'a FieldMemory {
        match self.memory.get(field) {
            Some(memory) => memory,
            None => panic!("there is no field {field}"),
        }
    }
}

/// Memory for one sample outside a batch: what [`Map`](crate::datasets::Map) hands to its
/// function.
///
/// ```
/// use loader::{Dtype, Field, SampleBuffer};
///
/// let mut sample = SampleBuffer::new(&[Field::new("x", [2], Dtype::Float32)]);
/// sample.fields().get_mut::<f32>(0).copy_from_slice(&[1.0, 2.0]);
/// assert_eq!(sample.get::<f32>(0), [1.0, 2.0]);
/// ```
pub struct SampleBuffer {
    memory: Box<[FieldMemory]>,
    /// Owned; the fields lie in it, each at the start of a word.
    words: *mut [u64],
}

// SAFETY: it owns its memory alone.
unsafe impl Send for SampleBuffer {}
// SAFETY: shared, it is only read.
unsafe impl Sync for SampleBuffer {}

impl SampleBuffer {
    /// Zeros for one sample of `fields`.
    ///
    /// # Panics
    /// If they are larger than memory can be.
    pub fn new(fields: &[Field]) -> Self {
        let mut words = 0_usize;
        let starts: Vec<usize> = fields
            .iter()
            .map(|field| {
                let start = words;
                words = words.saturating_add(field.bytes().div_ceil(8));
                start
            })
            .collect();
        assert!(words <= isize::MAX as usize / 8, "a sample of {fields:?} is larger than memory");
        let words = Box::into_raw(vec![0_u64; words].into_boxed_slice());
        let first = words.cast::<u64>();
        let memory = fields.iter().zip(starts).map(|(field, start)| FieldMemory {
            // SAFETY: `start` is at most the number of words; a box is never null.
            base: unsafe { NonNull::new_unchecked(first.add(start)) }.cast(),
            elements: field.elements(),
            dtype: field.dtype,
        });
        Self { memory: memory.collect(), words }
    }

    /// The memory, to write it.
    pub fn fields(&mut self) -> Fields<'_> {
        // SAFETY: there is room for one sample; it is initialised and aligned for the largest
        // type; `self` is borrowed exclusively.
        unsafe { Fields::new(&self.memory, 0) }
    }

    /// The elements of field number `field`.
    ///
    /// # Panics
    /// If there is no such field, or its type is not `T`.
    pub fn get<T: Element>(&self, field: usize) -> &[T] {
        let Some(FieldMemory { base, elements, dtype }) = self.memory.get(field) else {
            panic!("there is no field {field}");
        };
        assert!(*dtype == T::DTYPE, "field {field} holds {dtype:?}, not {:?}", T::DTYPE);
        // SAFETY: as in `fields`, and nobody writes while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(base.cast::<T>().as_ptr(), *elements) }
    }
}

impl fmt::Debug for SampleBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.memory.iter().map(|memory| (memory.dtype, memory.elements));
        f.debug_list().entries(fields).finish()
    }
}

impl Drop for SampleBuffer {
    fn drop(&mut self) {
        // SAFETY: it came from a box in `new` and is freed once; all borrows are over.
        drop(unsafe { Box::from_raw(self.words) });
    }
}

impl Slot<'_> {
    /// Calls `load` with a slot that writes to `fields` instead, draws from `rng`, and counts on
    /// this slot's clock; gives back what it drew from.
    pub(crate) fn redirected<T>(
        &mut self,
        fields: Fields<'_>,
        rng: SampleRng,
        load: impl FnOnce(&mut Slot<'_>) -> T,
    ) -> (T, SampleRng) {
        let mut slot = Slot { rng, clock: &mut *self.clock, fields };
        let loaded = load(&mut slot);
        (loaded, slot.rng)
    }
}

/// The bytes of `values`.
pub(crate) fn bytes_of<T: Element>(values: &[T]) -> &[u8] {
    // SAFETY: the types are numbers, all of whose bytes are initialised.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// A Rust type that a field's elements may have.
pub trait Element: Copy + sealed::Plain {
    /// Its libtorch type.
    const DTYPE: Dtype;
}

/// An element of a [`Dtype::Bool`] field. Rust's `bool` may hold no other bytes than 0 and 1, but
/// the memory of a sample holds anything until it is written.
///
/// ```
/// assert_eq!(loader::Bool8::from(true), loader::Bool8::TRUE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bool8(u8);

impl Bool8 {
    /// 0.
    pub const FALSE: Self = Self(0);
    /// 1.
    pub const TRUE: Self = Self(1);
}

impl From<bool> for Bool8 {
    fn from(value: bool) -> Self {
        Self(u8::from(value))
    }
}

impl From<Bool8> for bool {
    fn from(value: Bool8) -> Self {
        value.0 != 0
    }
}

macro_rules! elements {
    ($($element:ty => $dtype:ident),+ $(,)?) => {
        $(impl Element for $element {
            const DTYPE: Dtype = Dtype::$dtype;
        })+

        mod sealed {
            use super::*;
            /// Types of which every bit pattern is a value.
            pub trait Plain {}
            $(impl Plain for $element {})+
        }
    };
}

elements! {
    Bool8 => Bool,
    u8 => Uint8,
    i8 => Int8,
    i16 => Int16,
    i32 => Int32,
    i64 => Int64,
    f16 => Float16,
    bf16 => BFloat16,
    f32 => Float32,
    f64 => Float64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_sample_lie_apart_and_aligned() {
        let fields: Vec<Field> =
            Dtype::ALL.iter().map(|dtype| Field::new("x", [3], *dtype)).collect();
        let mut sample = SampleBuffer::new(&fields);
        for field in (0..fields.len()).filter(|field| fields[*field].dtype != Dtype::Bool) {
            sample.fields().bytes_mut(field).fill(field as u8);
        }
        sample.fields().get_mut::<Bool8>(0).fill(Bool8::TRUE);
        let sample = { sample };
        assert_eq!(sample.get::<Bool8>(0), [Bool8::TRUE; 3]);
        assert_eq!(sample.get::<u8>(1), [1; 3]);
        assert_eq!(sample.get::<i16>(3), [0x0303; 3]);
        assert_eq!(sample.get::<i64>(5), [0x0505_0505_0505_0505; 3]);
        assert_eq!(sample.get::<f64>(9), [f64::from_bits(0x0909_0909_0909_0909); 3]);
    }

    #[test]
    fn a_sample_of_nothing() {
        let mut sample = SampleBuffer::new(&[Field::new("x", [0, 3], Dtype::Int64)]);
        assert!(sample.fields().get_mut::<i64>(0).is_empty());
        assert!(SampleBuffer::new(&[]).memory.is_empty());
    }

    #[test]
    #[should_panic(expected = "is larger than memory")]
    fn a_sample_that_no_memory_holds() {
        // In words, their sizes together are 0 where the sum wraps.
        SampleBuffer::new(&vec![Field::new("x", [usize::MAX], Dtype::Uint8); 8]);
    }

    #[test]
    #[should_panic(expected = "field 0 holds Bool")]
    fn a_bool_is_not_written_as_bytes() {
        SampleBuffer::new(&[Field::new("x", [], Dtype::Bool)]).fields().bytes_mut(0);
    }
}
