// SPDX-License-Identifier: Apache-2.0
// Finds the functions of tf_api.hpp in the TensorFlow that is already loaded; never loads one.
#include "tf_api.hpp"

#include <dlfcn.h>

namespace maskcore_tf {

TfApi tf;

namespace {

#if defined(__APPLE__)
constexpr const char* kLibrary = "libtensorflow_framework.2.dylib";
#else
constexpr const char* kLibrary = "libtensorflow_framework.so.2";
#endif

class Library {
 public:
  explicit Library(void* handle) noexcept : handle_(handle) {}

  template <class Function>
  void find(const char* name, Function*& function) noexcept {
    function = reinterpret_cast<Function*>(dlsym(handle_, name));
    if (function == nullptr && missing_ == nullptr) missing_ = name;
  }

  const char* missing() const noexcept { return missing_; }

 private:
  void* handle_;
  const char* missing_ = nullptr;
};

void find_tensors(Library& library) noexcept {
  library.find("TF_NewStatus", tf.new_status);
  library.find("TF_DeleteStatus", tf.delete_status);
  library.find("TF_SetStatus", tf.set_status);
  library.find("TF_GetCode", tf.get_code);
  library.find("TF_DeleteTensor", tf.delete_tensor);
  library.find("TF_TensorType", tf.tensor_type);
  library.find("TF_NumDims", tf.num_dims);
  library.find("TF_Dim", tf.dim);
  library.find("TF_TensorData", tf.tensor_data);
}

void find_ops(Library& library) noexcept {
  library.find("TF_NewOpDefinitionBuilder", tf.new_op_definition_builder);
  library.find("TF_OpDefinitionBuilderAddAttr", tf.op_definition_builder_add_attr);
  library.find("TF_OpDefinitionBuilderAddInput", tf.op_definition_builder_add_input);
  library.find("TF_OpDefinitionBuilderAddOutput", tf.op_definition_builder_add_output);
  library.find("TF_OpDefinitionBuilderSetIsStateful", tf.op_definition_builder_set_is_stateful);
  library.find("TF_OpDefinitionBuilderSetShapeInferenceFunction",
               tf.op_definition_builder_set_shape_inference_function);
  library.find("TF_RegisterOpDefinition", tf.register_op_definition);
  library.find("TF_NewShapeHandle", tf.new_shape_handle);
  library.find("TF_DeleteShapeHandle", tf.delete_shape_handle);
  library.find("TF_ShapeInferenceContextGetInput", tf.shape_inference_context_get_input);
  library.find("TF_ShapeInferenceContextSetOutput", tf.shape_inference_context_set_output);
  library.find("TF_ShapeInferenceContextSetUnknownShape", tf.shape_inference_context_set_unknown_shape);
}

void find_kernels(Library& library) noexcept {
  library.find("TF_NewKernelBuilder", tf.new_kernel_builder);
  library.find("TF_RegisterKernelBuilder", tf.register_kernel_builder);
  library.find("TF_OpKernelConstruction_GetAttrInt64", tf.op_kernel_construction_get_attr_int64);
  library.find("TF_OpKernelConstruction_GetAttrType", tf.op_kernel_construction_get_attr_type);
  library.find("TF_OpKernelConstruction_Failure", tf.op_kernel_construction_failure);
  library.find("TF_OpKernelContext_Failure", tf.op_kernel_context_failure);
  library.find("TF_GetInput", tf.get_input);
  library.find("TF_ForwardInputOrAllocateOutput", tf.forward_input_or_allocate_output);
  library.find("TF_AllocateOutput", tf.allocate_output);
}

}  // namespace

const char* bind_tf_api() noexcept {
  void* const handle = dlopen(kLibrary, RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return kLibrary;
  Library library(handle);
  find_tensors(library);
  find_ops(library);
  find_kernels(library);
  return library.missing();
}

}  // namespace maskcore_tf
