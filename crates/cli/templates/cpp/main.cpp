#include "stage.hpp"

int main() { return modular_runtime::run(stage()); }
