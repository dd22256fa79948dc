// What libtorch has and `tch` does not give: fused optimizers, the gradient's norm without waiting for
// the device, autocast with a device and a type, seeding of one device, deterministic algorithms, the
// CUDA library itself, and peak memory.
//
// Every function returns null, or a message that the caller frees with `overnight_free`. No C++
// exception leaves this file: unwinding through Rust is undefined. A tensor is `tch`'s own pointer
// to a `torch::Tensor`.

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <c10/core/Allocator.h>
#include <c10/core/CachingDeviceAllocator.h>

namespace {

template <typename Body> char *guarded(Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error &error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("libtorch threw something that is not an exception");
  }
}

std::vector<at::Tensor> list(at::Tensor *const *tensors, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; ++i)
    result.push_back(*tensors[i]);
  return result;
}

std::vector<at::Tensor> gradients(at::Tensor *const *parameters, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const at::Tensor &gradient = parameters[i]->grad();
    TORCH_CHECK(gradient.defined(), "parameter number ", i, " has no gradient: the loss does not depend on it");
    result.push_back(gradient);
  }
  return result;
}

std::optional<at::Tensor> optional(at::Tensor *tensor) {
  return tensor == nullptr ? std::nullopt : std::optional<at::Tensor>(*tensor);
}

// Devices as `tch` numbers them: -1 is the CPU, others are CUDA devices.
at::Device device_of(int device) {
  return device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device));
}

} // namespace

extern "C" {

void overnight_free(char *message) { std::free(message); }

// The 2-norm over the gradients of all parameters, as a scalar tensor on their device. Where `clip`
// is above zero, `*scale` gets what gradients must be divided by to have at most that norm: the fused
// optimizers divide by it themselves, which saves a pass over all gradients.
char *overnight_grad_norm(at::Tensor *const *parameters, size_t count, double clip, at::Tensor **norm,
                          at::Tensor **scale) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto norms = at::_foreach_norm(gradients(parameters, count), 2);
    at::Tensor total = at::linalg_vector_norm(at::stack(norms), 2);
    *scale = clip > 0 ? new at::Tensor(((total + 1e-6) / clip).clamp_min_(1.0)) : nullptr;
    *norm = new at::Tensor(std::move(total));
  });
}

// `step` counts from 1: how many steps the averages will have seen.
char *overnight_fused_adamw(at::Tensor *const *parameters, at::Tensor *const *averages,
                            at::Tensor *const *square_averages, size_t count, int64_t step, double lr, double beta1,
                            double beta2, double weight_decay, double eps, at::Tensor *scale) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto weights = list(parameters, count);
    if (weights.empty())
      return;
    std::vector<at::Tensor> steps(count, at::full({}, static_cast<double>(step), weights[0].options()));
    at::_fused_adamw_(weights, gradients(parameters, count), list(averages, count), list(square_averages, count), {},
                      steps, lr, beta1, beta2, weight_decay, eps, /*amsgrad=*/false, /*maximize=*/false,
                      optional(scale), std::nullopt);
  });
}

char *overnight_fused_sgd(at::Tensor *const *parameters, at::Tensor *const *momenta, size_t count, double lr,
                          double momentum, double weight_decay, bool nesterov, at::Tensor *scale) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    if (count == 0)
      return;
    std::vector<at::Tensor> buffers;
    if (momentum > 0)
      buffers = list(momenta, count);
    at::_fused_sgd_(list(parameters, count), gradients(parameters, count), buffers, weight_decay, momentum, lr,
                    /*dampening=*/0.0, nesterov, /*maximize=*/false, /*is_first_step=*/false, optional(scale), std::nullopt);
  });
}

// Gradients are dropped rather than filled with zeros: the next backward pass writes instead of adding.
char *overnight_drop_gradients(at::Tensor *const *parameters, size_t count) {
  return guarded([&] {
    for (size_t i = 0; i < count; ++i)
      parameters[i]->mutable_grad() = at::Tensor();
  });
}

char *overnight_enter_bf16(int device) {
  return guarded([&] {
    auto type = device_of(device).type();
    at::autocast::increment_nesting();
    at::autocast::set_autocast_dtype(type, at::kBFloat16);
    at::autocast::set_autocast_enabled(type, true);
  });
}

// Forgets the weights that were cast meanwhile: the next step has other weights.
char *overnight_leave_bf16(int device) {
  return guarded([&] {
    at::autocast::set_autocast_enabled(device_of(device).type(), false);
    if (at::autocast::decrement_nesting() == 0)
      at::autocast::clear_cache();
  });
}

// Seeds the generators that work on this device uses: the CPU's always, and the device's own.
char *overnight_seed(int device, uint64_t seed) {
  return guarded([&] {
    auto reseed = [seed](at::Generator generator) {
      std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_current_seed(seed);
    };
    reseed(at::detail::getDefaultCPUGenerator());
    if (device >= 0)
      reseed(at::globalContext().defaultGenerator(device_of(device)));
  });
}

// On: only algorithms that give the same bits each time; one that has no such form is an error.
char *overnight_deterministic(bool on) {
  return guarded([&] {
    auto &context = at::globalContext();
    context.setDeterministicAlgorithms(on, /*warn_only=*/false);
    context.setDeterministicCuDNN(on);
    context.setBenchmarkCuDNN(false);
    // Filling memory that is written anyway would only cost time.
    context.setDeterministicFillUninitializedMemory(false);
  });
}

// The linker drops `libtorch_cuda.so`, because no symbol of it is used; its static initializers are
// what registers CUDA. Before the first tensor only.
char *overnight_load_cuda() {
  return guarded([&] {
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      const char *why = dlerror();
      TORCH_CHECK(false, why == nullptr ? "libtorch_cuda.so could not be loaded" : why);
    }
  });
}

// The most bytes that tensors on a CUDA device held at once since the process began.
char *overnight_peak_memory(int device, int64_t *bytes) {
  return guarded([&] {
    auto *allocator = dynamic_cast<c10::DeviceAllocator *>(c10::GetAllocator(at::kCUDA));
    TORCH_CHECK(allocator != nullptr, "the CUDA allocator keeps no statistics");
    auto statistics = allocator->getDeviceStats(static_cast<c10::DeviceIndex>(device));
    *bytes = statistics.allocated_bytes[0].peak;
  });
}

} // extern "C"
