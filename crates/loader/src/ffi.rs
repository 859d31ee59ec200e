//! Calls into the C++ shim.

#![expect(unsafe_code, reason = "the shim is C++")]

use std::ffi::{CStr, c_char, c_void};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::{Dtype, LoaderError};

unsafe extern "C" {
    fn loader_tensor_over(
        data: *mut c_void,
        shape: *const i64,
        dimensions: usize,
        kind: i8,
        context: *mut c_void,
        drop: extern "C" fn(*mut c_void),
        message: *mut c_char,
        capacity: usize,
    ) -> *mut C_tensor;
    fn loader_pinned(bytes: i64, message: *mut c_char, capacity: usize) -> *mut C_tensor;
    fn loader_pin(source: *const C_tensor, message: *mut c_char, capacity: usize) -> *mut C_tensor;
    fn loader_is_pinned(tensor: *const C_tensor) -> bool;
    fn loader_cuda_devices(message: *mut c_char, capacity: usize) -> i64;
    fn loader_cuda_synchronize(message: *mut c_char, capacity: usize) -> bool;
    fn loader_cuda_memory(
        device: i8,
        allocated: *mut i64,
        reserved: *mut i64,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn loader_side_stream(
        device: i8,
        stream: *mut i64,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn loader_copy_begin(
        source: *const C_tensor,
        device: i8,
        stream: i64,
        message: *mut c_char,
        capacity: usize,
    ) -> *mut c_void;
    fn loader_copy_end(copy: *mut c_void, message: *mut c_char, capacity: usize) -> *mut C_tensor;
    fn loader_copy_drop(copy: *mut c_void);
    fn loader_libtorch_version() -> *const c_char;
    fn loader_compute_on_one_thread();
}

/// A contiguous tensor of `shape` over `data`, which `owner` keeps alive; `owner` is dropped when
/// the last tensor on that memory is, on whatever thread that happens.
///
/// # Errors
/// If libtorch refuses.
///
/// # Safety
/// `data` must be valid for reads and writes of `shape`'s elements of `dtype`, aligned for them,
/// and used by nobody else, for as long as `owner` lives.
pub(crate) unsafe fn tensor_over<T: Send>(
    data: *mut u8,
    shape: &[i64],
    dtype: Dtype,
    owner: T,
) -> Result<Tensor, LoaderError> {
    extern "C" fn drop_owner<T>(context: *mut c_void) {
        // SAFETY: `context` is the box leaked below, and libtorch passes it here once.
        drop(unsafe { Box::from_raw(context.cast::<T>()) });
    }
    let owner = Box::into_raw(Box::new(owner));
    let mut message = [0; 512];
    // SAFETY: the shim reads `dimensions` numbers of `shape` and writes at most `capacity` bytes;
    // the caller vouches for `data`; `owner` is handed over and freed by `drop_owner` alone.
    let tensor = unsafe {
        loader_tensor_over(
            data.cast(),
            shape.as_ptr(),
            shape.len(),
            dtype.scalar_type(),
            owner.cast(),
            drop_owner::<T>,
            message.as_mut_ptr(),
            message.len(),
        )
    };
    from_shim(tensor, &message)
}

/// `bytes` of page-locked memory as a uint8 tensor.
///
/// # Errors
/// Without a GPU, or if the driver refuses.
pub(crate) fn pinned(bytes: usize) -> Result<Tensor, LoaderError> {
    let mut message = [0; 512];
    // SAFETY: the shim writes at most `capacity` bytes to `message`.
    let tensor = unsafe { loader_pinned(bytes as i64, message.as_mut_ptr(), message.len()) };
    from_shim(tensor, &message)
}

/// `source` in page-locked memory.
///
/// # Errors
/// Without a GPU, or if the driver refuses.
pub(crate) fn pin(source: &Tensor) -> Result<Tensor, LoaderError> {
    let mut message = [0; 512];
    // SAFETY: `source` is a tensor; the shim writes at most `capacity` bytes to `message`.
    let tensor = unsafe { loader_pin(source.as_ptr(), message.as_mut_ptr(), message.len()) };
    from_shim(tensor, &message)
}

/// Whether `tensor` lies in page-locked memory.
pub(crate) fn is_pinned(tensor: &Tensor) -> bool {
    // SAFETY: `tensor` is a tensor.
    unsafe { loader_is_pinned(tensor.as_ptr()) }
}

/// How many GPUs the driver shows.
///
/// # Errors
/// If it shows none for a reason: it is too old for libtorch's CUDA, for example.
pub(crate) fn cuda_devices() -> Result<i64, LoaderError> {
    let mut message = [0; 512];
    // SAFETY: the shim writes at most `capacity` bytes to `message`.
    let count = unsafe { loader_cuda_devices(message.as_mut_ptr(), message.len()) };
    if count < 0 { Err(refusal(&message)) } else { Ok(count) }
}

/// Waits for the work of all GPUs that this process uses.
///
/// # Errors
/// If a GPU reports one, as of work that failed.
pub(crate) fn cuda_synchronize() -> Result<(), LoaderError> {
    let mut message = [0; 512];
    // SAFETY: the shim writes at most `capacity` bytes to `message`.
    let done = unsafe { loader_cuda_synchronize(message.as_mut_ptr(), message.len()) };
    if done { Ok(()) } else { Err(refusal(&message)) }
}

fn from_shim(tensor: *mut C_tensor, message: &Message) -> Result<Tensor, LoaderError> {
    if tensor.is_null() {
        return Err(refusal(message));
    }
    // SAFETY: the shim returns a new `at::Tensor`, which is what tch owns and frees.
    Ok(unsafe { Tensor::from_ptr(tensor) })
}

/// Where the shim leaves what went wrong.
type Message = [c_char; 512];

fn refusal(message: &Message) -> LoaderError {
    // SAFETY: the shim ends what it writes with NUL, and the array began as NULs.
    let message = unsafe { CStr::from_ptr(message.as_ptr()) };
    let message = message.to_string_lossy();
    // libtorch appends a C++ backtrace to the first line.
    let message = message.lines().next().unwrap_or_default().to_owned();
    LoaderError::Libtorch { message }
}

/// Bytes that libtorch's allocator has given out on GPU number `device`, and those that it holds.
///
/// # Errors
/// If there is no such GPU.
pub(crate) fn cuda_memory(device: i8) -> Result<[i64; 2], LoaderError> {
    let (mut allocated, mut reserved, mut message) = (0, 0, [0; 512]);
    // SAFETY: the shim writes two numbers, and at most `capacity` bytes to `message`.
    let known = unsafe {
        let capacity = message.len();
        loader_cuda_memory(device, &mut allocated, &mut reserved, message.as_mut_ptr(), capacity)
    };
    if known { Ok([allocated, reserved]) } else { Err(refusal(&message)) }
}

/// A stream of a GPU beside the one that a program computes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SideStream {
    device: i8,
    stream: i64,
}

impl SideStream {
    /// One of GPU number `device`.
    ///
    /// # Errors
    /// If there is no such GPU.
    pub(crate) fn new(device: usize) -> Result<Self, LoaderError> {
        let (mut stream, mut message) = (0, [0; 512]);
        let device = i8::try_from(device).unwrap_or(i8::MAX);
        // SAFETY: the shim writes one number, and at most `capacity` bytes to `message`.
        let found =
            unsafe { loader_side_stream(device, &mut stream, message.as_mut_ptr(), message.len()) };
        if found { Ok(Self { device, stream }) } else { Err(refusal(&message)) }
    }

    /// Begins to copy `source` there. From pinned memory it does not wait, and libtorch keeps that
    /// memory until the copy is done, even if `source` is dropped.
    ///
    /// # Errors
    /// If there is no memory on the device.
    pub(crate) fn copy(self, source: &Tensor) -> Result<CopyUnderWay, LoaderError> {
        let mut message = [0; 512];
        // SAFETY: `source` is a tensor; the shim writes at most `capacity` bytes to `message`.
        let copy = unsafe {
            let Self { device, stream } = self;
            loader_copy_begin(source.as_ptr(), device, stream, message.as_mut_ptr(), message.len())
        };
        if copy.is_null() { Err(refusal(&message)) } else { Ok(CopyUnderWay(copy)) }
    }
}

/// A tensor on its way to a device.
#[derive(Debug)]
pub(crate) struct CopyUnderWay(*mut c_void);

impl CopyUnderWay {
    /// The tensor there. What the current stream does next waits for it; the caller does not.
    ///
    /// # Errors
    /// If the device reports one.
    pub(crate) fn finish(self) -> Result<Tensor, LoaderError> {
        let mut message = [0; 512];
        let copy = std::mem::ManuallyDrop::new(self);
        // SAFETY: the shim made it and frees it here, once; it writes at most `capacity` bytes.
        let tensor = unsafe { loader_copy_end(copy.0, message.as_mut_ptr(), message.len()) };
        from_shim(tensor, &message)
    }
}

impl Drop for CopyUnderWay {
    fn drop(&mut self) {
        // SAFETY: the shim made it; it has not been finished.
        unsafe { loader_copy_drop(self.0) }
    }
}

/// The version of the libtorch that this program was built against, such as `2.11.0`.
pub fn libtorch_version() -> &'static str {
    // SAFETY: the shim returns a string literal.
    let version = unsafe { CStr::from_ptr(loader_libtorch_version()) };
    version.to_str().unwrap_or_default()
}

/// Has libtorch's operators compute on this thread alone when it calls them, as a worker does for
/// a data set that uses tensors. Other threads are left as they are, which
/// [`tch::set_num_threads`] would not do: it holds for all.
pub(crate) fn compute_on_one_thread() {
    // SAFETY: the shim reads a setting of libtorch and sets one of OpenMP for this thread.
    unsafe { loader_compute_on_one_thread() }
}
