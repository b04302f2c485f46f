// The golden bytes in `proto/vectors`: one `NAME.bin` after the other, with what `NAME.json` says of it.
#pragma once

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <modular_runtime/config.hpp>
#include <string>

#include "check.hpp"

struct Vector {
  std::string name;
  std::string bytes;
  modular_runtime::Config said;
};

inline std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Gives each vector of the folder to `look`.
template <class Look>
void for_each_vector(const std::string& folder, Look look) {
  std::size_t looked = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(VECTORS) + "/" + folder)) {
    if (entry.path().extension() != ".bin") continue;
    std::filesystem::path said = entry.path();
    said.replace_extension(".json");
    const Vector vector{entry.path().stem(), contents(entry.path()),
                        modular_runtime::Config::parse(contents(said))};
    try {
      look(vector);
    } catch (const std::exception& error) {
      std::cerr << folder << "/" << vector.name << ": " << error.what() << "\n";
      std::exit(1);
    }
    ++looked;
  }
  check(looked > 0, true);
}
