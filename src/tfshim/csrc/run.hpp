// SPDX-License-Identifier: Apache-2.0
// The life of a kernel, and one run of it: input tensors, outputs, and how it ends. Owns what TensorFlow hands out;
// knows nothing of masking.
#ifndef MASKCORE_TFSHIM_RUN_HPP_
#define MASKCORE_TFSHIM_RUN_HPP_

#include <stdlib.h>

#include "message.hpp"
#include "tf_api.hpp"

namespace maskcore_tf {

// Makes the state of a kernel; `read` fills it from the op's attributes.
template <class Kernel>
void* create_kernel(TF_OpKernelConstruction* context,
                    void (*read)(TF_OpKernelConstruction*, Kernel&, Failure&, TF_Status*)) noexcept {
  TF_Status* const status = tf.new_status();
  Failure failure;
  Kernel* const kernel = static_cast<Kernel*>(malloc(sizeof(Kernel)));
  if (kernel == nullptr)
    failure.fail(kResourceExhausted, "out of memory");
  else
    read(context, *kernel, failure, status);
  if (failure.has_failed()) tf.set_status(status, failure.code, failure.text);
  if (tf.get_code(status) != kOk) tf.op_kernel_construction_failure(context, status);
  tf.delete_status(status);
  return kernel;
}

inline void destroy_kernel(void* kernel) noexcept { free(kernel); }

// Reports its failure, if any, to TensorFlow when it ends.
class Run {
 public:
  explicit Run(TF_OpKernelContext* of) noexcept : context(of), status(tf.new_status()) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    if (failure.has_failed()) {
      tf.set_status(status, failure.code, failure.text);
      tf.op_kernel_context_failure(context, status);
    } else if (tf.get_code(status) != kOk) {
      tf.op_kernel_context_failure(context, status);
    }
    tf.delete_status(status);
  }

  // False once anything failed, in TensorFlow or in our own checks.
  bool is_ok() const noexcept { return !failure.has_failed() && tf.get_code(status) == kOk; }

  TF_OpKernelContext* const context;
  TF_Status* const status;
  Failure failure;
};

// A tensor that is given back at the end of the scope.
class Tensor {
 public:
  static Tensor input(Run& run, int index) noexcept {
    TF_Tensor* tensor = nullptr;
    tf.get_input(run.context, index, &tensor, run.status);
    return Tensor(tensor);
  }

  // The output, of the shape and dtype of input 0: in the memory of that input where nobody else reads it.
  static Tensor output_like_first(Run& run, const Tensor& like) noexcept {
    constexpr int kFirst = 0;
    int64_t dims[2] = {0, 0};
    for (int axis = 0; axis < like.rank(); ++axis) dims[axis] = like.dim(axis);
    int forwarded = -1;
    return Tensor(
        tf.forward_input_or_allocate_output(run.context, &kFirst, 1, 0, dims, like.rank(), &forwarded, run.status));
  }

  // Output `index`, of `bytes` a number.
  static Tensor output(Run& run, int index, DataType type, size_t bytes, const int64_t* dims, int rank) noexcept {
    for (int axis = 0; axis < rank; ++axis) bytes *= static_cast<size_t>(dims[axis]);
    return Tensor(tf.allocate_output(run.context, index, type, dims, rank, bytes, run.status));
  }

  Tensor(Tensor&& other) noexcept : tensor_(other.tensor_) { other.tensor_ = nullptr; }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  ~Tensor() {
    if (tensor_ != nullptr) tf.delete_tensor(tensor_);
  }

  bool is_given() const noexcept { return tensor_ != nullptr; }
  int rank() const noexcept { return tf.num_dims(tensor_); }
  int64_t dim(int axis) const noexcept { return tf.dim(tensor_, axis); }
  DataType type() const noexcept { return tf.tensor_type(tensor_); }
  void* data() const noexcept { return tf.tensor_data(tensor_); }

  int64_t num_elements() const noexcept {
    int64_t count = 1;
    for (int axis = 0; axis < rank(); ++axis) count *= dim(axis);
    return count;
  }

  TupleText shape_text() const noexcept {
    return TupleText(rank(), [this](int axis) { return dim(axis); });
  }

 private:
  explicit Tensor(TF_Tensor* tensor) noexcept : tensor_(tensor) {}

  TF_Tensor* tensor_;
};

// Memory for one run.
template <class Element>
class Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { free(elements_); }

  // `size` is not zero. Null where there is no memory, which is then the failure of the run.
  Element* allocate(int64_t size, Failure& failure) noexcept {
    elements_ = static_cast<Element*>(malloc(static_cast<size_t>(size) * sizeof(Element)));
    if (elements_ == nullptr) failure.fail(kResourceExhausted, "out of memory while masking");
    return elements_;
  }

 private:
  Element* elements_ = nullptr;
};

}  // namespace maskcore_tf

#endif  // MASKCORE_TFSHIM_RUN_HPP_
