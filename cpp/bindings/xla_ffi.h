// The part of XLA's foreign function interface that a handler on the CPU needs, as its stable C ABI lays it out.
//
// Declared after xla/ffi/api/c_api.h, whose names are those without the prefix XLA_FFI_, so that building needs no JAX;
// tests/test_interop_jax.py compares the two.
#pragma once

#include <cstddef>
#include <cstdint>

namespace matgrad::xla {

/// The version of the interface: later minor versions add to structures at their end.
constexpr int kMajorVersion = 0, kMinorVersion = 3;

struct Error;
struct ExecutionContext;
struct InternalApi;

enum class ExtensionType : int32_t { metadata = 1 };

struct ExtensionBase {
  size_t struct_size;
  ExtensionType type;
  ExtensionBase* next;
};

struct ApiVersion {
  size_t struct_size;
  ExtensionBase* extension_start;
  int major_version, minor_version;
};

/// As in absl::StatusCode.
enum class ErrorCode : int32_t { invalid_argument = 3, not_found = 5, resource_exhausted = 8, internal = 13 };

struct ErrorCreateArgs {
  size_t struct_size;
  ExtensionBase* extension_start;
  const char* message;
  ErrorCode code;
};

enum class DataType : int32_t { s64 = 5, f32 = 11, f64 = 12 };

struct Buffer {
  size_t struct_size;
  ExtensionBase* extension_start;
  DataType dtype;
  void* data;
  int64_t rank;
  int64_t* dims;
};

struct ByteSpan {
  const char* data;
  size_t size;
};

struct Scalar {
  DataType dtype;
  void* value;
};

/// Arguments, or results: their types are all `buffer`.
struct Buffers {
  size_t struct_size;
  ExtensionBase* extension_start;
  int64_t size;
  int32_t* types;
  Buffer** buffers;
};
constexpr int32_t kBuffer = 1;

enum class AttributeType : int32_t { scalar = 3 };

struct Attributes {
  size_t struct_size;
  ExtensionBase* extension_start;
  int64_t size;
  AttributeType* types;
  ByteSpan** names;
  void** values;
};

/// What the runtime offers; more functions follow.
struct Api {
  size_t struct_size;
  ExtensionBase* extension_start;
  ApiVersion version;
  const InternalApi* internal_api;
  Error* (*create_error)(ErrorCreateArgs*);
};

enum class Stage : int32_t { execute = 3 };

/// What a handler is called with; more members follow.
struct CallFrame {
  size_t struct_size;
  ExtensionBase* extension_start;
  const Api* api;
  ExecutionContext* context;
  Stage stage;
  Buffers arguments;
  Buffers results;
  Attributes attributes;
};

/// What a handler says of itself; more members follow.
struct Metadata {
  size_t struct_size;
  ApiVersion api_version;
  uint32_t traits;
};

/// The extension of a call that asks for metadata alone.
struct MetadataExtension {
  ExtensionBase base;
  Metadata* metadata;
};

using Handler = Error*(CallFrame*);

}  // namespace matgrad::xla
