// What tch lacks: a tensor over foreign memory that says when it is done with it, an empty pinned
// tensor, a thread count for one thread. What returns a tensor returns null on failure and leaves
// a message for the caller.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <torch/headeronly/version.h>

#include <dlfcn.h>

#include <cstring>
#include <exception>

namespace {
void leave(char *message, size_t capacity, const char *what) {
  if (capacity == 0) return;
  std::strncpy(message, what, capacity - 1);
  message[capacity - 1] = '\0';
}
}  // namespace

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

// libtorch's first parallel operator on a thread sets that thread's number of OpenMP threads to the
// program's; asking for it does so too. After that the thread's own number stands.
void loader_compute_on_one_thread() {
  at::get_num_threads();
  // Of the OpenMP library that libtorch brings, whatever its file is called.
  using Set = void (*)(int);
  if (auto set = reinterpret_cast<Set>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"))) set(1);
}

const char *loader_libtorch_version() { return TORCH_VERSION; }
}
