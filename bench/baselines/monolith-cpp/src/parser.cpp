#include "parser.hpp"

#include <charconv>
#include <chrono>

namespace monolith {

bool LineParser::parse(const std::string& line, ParsedEvent& event) {
  if (parse(line, line.capacity(), event)) return true;
  ++rejected;
  return false;
}

bool LineParser::parse(const LineBlock& block, std::vector<ParsedEvent>& events) {
  events.resize(block.ends.size());
  std::size_t good = 0;
  std::size_t begin = 0;
  for (const std::size_t end : block.ends) {
    const std::string_view line(block.text.data() + begin, end - begin);
    good += parse(line, block.text.capacity() - begin, events[good]) ? 1 : 0;
    begin = end;
  }
  rejected += events.size() - good;
  events.resize(good);
  return good > 0;
}

bool LineParser::parse(std::string_view line, std::size_t capacity, ParsedEvent& event) {
  simdjson::ondemand::document document;
  simdjson::ondemand::object object;
  std::string_view ts;
  std::string_view type;
  std::string_view user;
  if (parser_.iterate(line.data(), line.size(), capacity).get(document) ||
      document.get_object().get(object) || object["ts"].get_string().get(ts) ||
      object["type"].get_string().get(type) || object["user"].get_string().get(user) ||
      object["value"].get_int64().get(event.value)) {
    return false;
  }
  event.type = type;
  event.user = user;
  return parse_timestamp(ts, event.ts);
}

namespace {

bool parse_digits(std::string_view text, int& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && text.front() != '-';
}

}  // namespace

bool parse_timestamp(std::string_view text, Micros& ts) {
  using namespace std::chrono;
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':' || text.back() != 'Z') {
    return false;
  }
  int y = 0, m = 0, d = 0, hour = 0, minute = 0, second = 0, fraction = 0;
  if (!parse_digits(text.substr(0, 4), y) || !parse_digits(text.substr(5, 2), m) ||
      !parse_digits(text.substr(8, 2), d) || !parse_digits(text.substr(11, 2), hour) ||
      !parse_digits(text.substr(14, 2), minute) || !parse_digits(text.substr(17, 2), second)) {
    return false;
  }
  if (text.size() > 20) {
    const std::string_view digits = text.substr(20, std::min<std::size_t>(text.size() - 21, 6));
    if (text[19] != '.' || digits.empty() || !parse_digits(digits, fraction)) return false;
    for (std::size_t i = digits.size(); i < 6; ++i) fraction *= 10;
  }
  const auto date = year(y) / m / d;
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return false;
  const auto time = sys_days(date) + hours(hour) + minutes(minute) + seconds(second) + microseconds(fraction);
  ts = time.time_since_epoch().count();
  return true;
}

}  // namespace monolith
