// The stages under test, as `conformance/STAGES.md` describes them.
#pragma once

#include <map>
#include <modular_runtime/run.hpp>
#include <string_view>

namespace conformance {

using modular_runtime::Stage;

// In which form a stage's handler gets its events.
enum class Form { event, batch };

using Maker = Stage (*)(Form form);
using Makers = std::map<std::string_view, Maker>;

// `echo`, `keep_even`, `select`, `duplicate`, `derive`, `config`, `log`, `slow`, `spin`.
const Makers& stateless_stages();
// `count`, `sum`, `delay`.
const Makers& stateful_stages();
// `fail_on`, `fail_batch`, `fatal_on`, `fail_open`, `fail_finish`, `fail_source`, `fail_sink`.
const Makers& failing_stages();
// `numbers`, `endless`, `lines`, `slow_numbers`, `slow_sink`, `slow_end`.
const Makers& sources_and_sinks();

}  // namespace conformance
