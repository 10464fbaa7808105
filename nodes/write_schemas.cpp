// Build tool: writes all node schemas to the file named by its argument.
#include <exception>
#include <fstream>
#include <iostream>

#include "nodes/schema_json.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: asdm_write_schemas <path of the JSON to write>\n";
    return 2;
  }
  try {
    std::ofstream out(argv[1], std::ios::binary | std::ios::trunc);
    out << asdm::nodes::schemas_json();
    out.close();
    if (!out) {
      std::cerr << "asdm_write_schemas: cannot write " << argv[1] << "\n";
      return 1;
    }
  } catch (const std::exception& error) {
    std::cerr << "asdm_write_schemas: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
