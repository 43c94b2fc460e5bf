// SPDX-License-Identifier: Apache-2.0
// TensorFlow's C API as far as the ops need it: own prototypes, and a table of functions found in the running
// TensorFlow.
//
// Without TensorFlow's headers and without a link to its library one binary serves every release from 2.12 on. Types
// and order of parameters are those of tensorflow/c/{tf_status,tf_tensor,tf_datatype,ops,kernels}.h. Knows nothing of
// masking.
#ifndef MASKCORE_TFSHIM_TF_API_HPP_
#define MASKCORE_TFSHIM_TF_API_HPP_

#include <stddef.h>
#include <stdint.h>

struct TF_Status;
struct TF_Tensor;
struct TF_OpDefinitionBuilder;
struct TF_ShapeHandle;
struct TF_ShapeInferenceContext;
struct TF_KernelBuilder;
struct TF_OpKernelConstruction;
struct TF_OpKernelContext;

namespace maskcore_tf {

// TF_Code and TF_DataType: part of TensorFlow's stable ABI.
enum Code : int { kOk = 0, kInvalidArgument = 3, kResourceExhausted = 8, kInternal = 13 };
enum DataType : int {
  kFloat32 = 1,
  kFloat64 = 2,
  kInt32 = 3,
  kUint8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kInt64 = 9,
  kBool = 10,
  kUint16 = 17,
  kUint32 = 22,
  kUint64 = 23
};

using ShapeFunction = void (*)(TF_ShapeInferenceContext*, TF_Status*);
using CreateKernel = void* (*)(TF_OpKernelConstruction*);
using ComputeKernel = void (*)(void*, TF_OpKernelContext*);
using DeleteKernel = void (*)(void*);

// Each member is the function TF_<CamelCase of its name>; tf_api.cpp binds them.
struct TfApi {
  TF_Status* (*new_status)();
  void (*delete_status)(TF_Status*);
  void (*set_status)(TF_Status*, Code, const char* text);
  Code (*get_code)(const TF_Status*);

  void (*delete_tensor)(TF_Tensor*);
  DataType (*tensor_type)(const TF_Tensor*);
  int (*num_dims)(const TF_Tensor*);
  int64_t (*dim)(const TF_Tensor*, int axis);
  void* (*tensor_data)(const TF_Tensor*);

  TF_OpDefinitionBuilder* (*new_op_definition_builder)(const char* op_name);
  void (*op_definition_builder_add_attr)(TF_OpDefinitionBuilder*, const char* spec);
  void (*op_definition_builder_add_input)(TF_OpDefinitionBuilder*, const char* spec);
  void (*op_definition_builder_add_output)(TF_OpDefinitionBuilder*, const char* spec);
  void (*op_definition_builder_set_is_stateful)(TF_OpDefinitionBuilder*, bool is_ignored);
  void (*op_definition_builder_set_shape_inference_function)(TF_OpDefinitionBuilder*, ShapeFunction);
  void (*register_op_definition)(TF_OpDefinitionBuilder*, TF_Status*);

  TF_ShapeHandle* (*new_shape_handle)();
  void (*delete_shape_handle)(TF_ShapeHandle*);
  void (*shape_inference_context_get_input)(TF_ShapeInferenceContext*, int index, TF_ShapeHandle*, TF_Status*);
  // TensorFlow refuses every index but 0, for outputs as for inputs.
  void (*shape_inference_context_set_output)(TF_ShapeInferenceContext*, int index, TF_ShapeHandle*, TF_Status*);
  void (*shape_inference_context_set_unknown_shape)(TF_ShapeInferenceContext*, TF_Status*);

  TF_KernelBuilder* (*new_kernel_builder)(const char* op_name, const char* device, CreateKernel, ComputeKernel,
                                          DeleteKernel);
  void (*register_kernel_builder)(const char* name, TF_KernelBuilder*, TF_Status*);
  void (*op_kernel_construction_get_attr_int64)(TF_OpKernelConstruction*, const char* attr, int64_t* value, TF_Status*);
  void (*op_kernel_construction_get_attr_type)(TF_OpKernelConstruction*, const char* attr, DataType* value, TF_Status*);
  void (*op_kernel_construction_failure)(TF_OpKernelConstruction*, TF_Status*);
  void (*op_kernel_context_failure)(TF_OpKernelContext*, TF_Status*);
  void (*get_input)(TF_OpKernelContext*, int index, TF_Tensor**, TF_Status*);
  TF_Tensor* (*forward_input_or_allocate_output)(TF_OpKernelContext*, const int* candidates, int num_candidates,
                                                 int output, const int64_t* dims, int num_dims, int* forwarded,
                                                 TF_Status*);
  TF_Tensor* (*allocate_output)(TF_OpKernelContext*, int index, DataType, const int64_t* dims, int num_dims,
                                size_t num_bytes, TF_Status*);
};

extern TfApi tf;

// Fills `tf` from the TensorFlow of this process. Null where every function was found, else the name of what is
// missing.
const char* bind_tf_api() noexcept;

}  // namespace maskcore_tf

#endif  // MASKCORE_TFSHIM_TF_API_HPP_
