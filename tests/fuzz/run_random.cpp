// SPDX-License-Identifier: Apache-2.0
// Drives the fuzz target without libFuzzer: inputs from a seed, or files given by name (such as libFuzzer's crash
// files). Knows nothing of what the target does; the seed and the number of the input repeat a failure.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t num_bytes);

namespace {

// The value of --name=..., or null.
const char* option_value(const char* argument, const char* name) {
  const size_t length = std::strlen(name);
  return std::strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : nullptr;
}

bool run_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return true;
}

void run_random(uint64_t num_inputs, uint64_t seed) {
  std::printf("%llu inputs from seed %llu\n", static_cast<unsigned long long>(num_inputs),
              static_cast<unsigned long long>(seed));
  for (uint64_t input = 0; input < num_inputs; ++input) {
    std::mt19937_64 generator(seed + input);  // one each, so that --inputs=1 --seed=S repeats any of them
    std::vector<uint8_t> bytes(generator() % 64);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(generator());
    if (input % 500 == 0) std::printf("--inputs=500 --seed=%llu\n", static_cast<unsigned long long>(seed + input));
    std::fflush(stdout);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t num_inputs = 10000;
  uint64_t seed = 1;
  bool has_files = false;
  for (int i = 1; i < argc; ++i) {
    if (const char* inputs = option_value(argv[i], "--inputs")) {
      num_inputs = std::strtoull(inputs, nullptr, 10);
    } else if (const char* number = option_value(argv[i], "--seed")) {
      seed = std::strtoull(number, nullptr, 10);
    } else if (run_file(argv[i])) {
      has_files = true;
    } else {
      std::fprintf(stderr, "usage: %s [--inputs=N] [--seed=S] [FILE...]; cannot read %s\n", argv[0], argv[i]);
      return EXIT_FAILURE;
    }
  }
  if (!has_files) run_random(num_inputs, seed);
  return EXIT_SUCCESS;
}
