// What tch lacks: a tensor over foreign memory that says when it is done with it, an empty pinned
// tensor, a thread count for one thread, copies on a side stream, what the GPU's allocator holds, and
// whether a tensor is pinned without naming a device, which libtorch warns of each time. What returns
// a pointer returns null on failure and leaves a message for the caller.

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/headeronly/version.h>

#include <dlfcn.h>

#include <cstring>
#include <exception>
#include <memory>

namespace {
void leave(char *message, size_t capacity, const char *what) {
  if (capacity == 0) return;
  std::strncpy(message, what, capacity - 1);
  message[capacity - 1] = '\0';
}
}  // namespace

// A tensor on its way to a device, and the event of its arrival.
struct Copy {
  at::Tensor tensor;
  c10::Event event;
};

extern "C" {

// `context` is owned by the tensor from here on: `drop` is called once with it, on failure too.
at::Tensor *loader_tensor_over(void *data, const int64_t *shape, size_t dimensions, int8_t kind,
                               void *context, void (*drop)(void *), char *message,
                               size_t capacity) {
  try {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(kind));
    return new at::Tensor(at::for_blob(data, at::IntArrayRef(shape, dimensions))
                              .context(context, drop)
                              .options(options)
                              .target_device(at::Device(at::kCPU))
                              .make_tensor());
  } catch (const std::exception &error) {
    leave(message, capacity, error.what());
    return nullptr;
  }
}

// `bytes` of page-locked memory.
at::Tensor *loader_pinned(int64_t bytes, char *message, size_t capacity) {
  try {
    auto options = at::TensorOptions().dtype(at::kByte).pinned_memory(true);
    return new at::Tensor(at::empty({bytes}, options));
  } catch (const std::exception &error) {
    leave(message, capacity, error.what());
    return nullptr;
  }
}

// `source` in page-locked memory.
at::Tensor *loader_pin(const at::Tensor *source, char *message, size_t capacity) {
  try {
    return new at::Tensor(source->pin_memory());
  } catch (const std::exception &error) {
    leave(message, capacity, error.what());
    return nullptr;
  }
}

// Whether `tensor` lies in page-locked memory. False on failure too, which is the safe answer.
bool loader_is_pinned(const at::Tensor *tensor) {
  try {
    return tensor->is_pinned();
  } catch (const std::exception &) {
    return false;
  }
}

// GPUs that the driver shows; -1 where it shows none for a reason, which is left.
int64_t loader_cuda_devices(char *message, size_t capacity) {
  try {
    c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    // Throws where there is none or the driver cannot be used, of which the count says nothing.
    cuda.getDevice();
    return cuda.deviceCount();
  } catch (const std::exception &error) {
    leave(message, capacity, error.what());
    return -1;
  }
}

// Waits for all GPUs that this process uses: to ask another one would begin to. False on failure.
bool loader_cuda_synchronize(char *message, size_t capacity) {
  try {
    c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    for (c10::DeviceIndex device = 0; device < cuda.deviceCount(); ++device) {
      if (at::detail::getCUDAHooks().hasPrimaryContext(device)) cuda.synchronizeDevice(device);
    }
    return true;
  } catch (const std::exception &error) {
    leave(message, capacity, error.what());
    return false;
  }
}

// libtorch's first parallel operator on a thread sets that thread's number of OpenMP threads to the
// program's; asking for it does so too. After that the thread's own number stands.
void loader_compute_on_one_thread() {
  at::get_num_threads();
  // Of the OpenMP library that libtorch brings, whatever its file is called.
  using Set = void (*)(int);
  if (auto set = reinterpret_cast<Set>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"))) set(1);
}

// Bytes that libtorch's allocator has given out on a GPU, and those that it holds. False on failure.
bool loader_cuda_memory(int8_t device, int64_t *allocated, int64_t *reserved, char *message,
                        size_t capacity) {
  try {
    // The allocator knows of no device before.
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    constexpr auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    auto stats = c10::getDeviceAllocator(c10::DeviceType::CUDA)->getDeviceStats(device);
    *allocated = stats.allocated_bytes[all].current;
    *reserved = stats.reserved_bytes[all].current;
    return true;
  } catch (const std::exception &error) {
    leave(message, capacity, error.what());
    return false;
  }
}

// A stream beside the current one; only its number, as `c10::Stream` packs it. Through c10's table
// of devices, so that nothing of CUDA need be linked. False on failure.
bool loader_side_stream(int8_t device, int64_t *stream, char *message, size_t capacity) {
  try {
    c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    *stream = cuda.getStreamFromGlobalPool({c10::DeviceType::CUDA, device}).id();
    return true;
  } catch (const std::exception &error) {
    leave(message, capacity, error.what());
    return false;
  }
}

// Begins to copy `source` to `device` on `stream`, without waiting for it if it is pinned. Other memory
// may be written again before a copy that nobody waited for has read it.
Copy *loader_copy_begin(const at::Tensor *source, int8_t device, int64_t stream, char *message,
                        size_t capacity) {
  try {
    auto side = c10::Stream::unpack3(stream, device, c10::DeviceType::CUDA);
    c10::StreamGuard guard(side);
    auto tensor = source->to(side.device(), source->scalar_type(),
                             /*non_blocking=*/source->is_pinned());
    auto copy = std::make_unique<Copy>(Copy{tensor, c10::Event(c10::DeviceType::CUDA)});
    copy->event.record(side);
    return copy.release();
  } catch (const std::exception &error) {
    leave(message, capacity, error.what());
    return nullptr;
  }
}

// The copy, for use on the current stream: what runs there next waits for it, on the device. Its
// memory is not given out again before what runs there then is done.
at::Tensor *loader_copy_end(Copy *copy, char *message, size_t capacity) {
  std::unique_ptr<Copy> owned(copy);
  try {
    c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    auto current = cuda.getStream(owned->tensor.device());
    owned->event.block(current);
    owned->tensor.record_stream(current);
    return new at::Tensor(owned->tensor);
  } catch (const std::exception &error) {
    leave(message, capacity, error.what());
    return nullptr;
  }
}

void loader_copy_drop(Copy *copy) { delete copy; }

const char *loader_libtorch_version() { return TORCH_VERSION; }
}
