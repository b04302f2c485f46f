#include "modular_runtime/json_line.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string_view>

namespace modular_runtime {

namespace {

void append_string(std::string& out, std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c >= 0x20 && c != '"' && c != '\\') [[likely]]
      continue;
    out.append(text, plain, at - plain);
    plain = at + 1;
    out += '\\';
    switch (c) {
      case '"':
      case '\\':
        out += static_cast<char>(c);
        break;
      case '\b':
        out += 'b';
        break;
      case '\f':
        out += 'f';
        break;
      case '\n':
        out += 'n';
        break;
      case '\r':
        out += 'r';
        break;
      case '\t':
        out += 't';
        break;
      default:
        out += "u00";
        out += hex[c >> 4];
        out += hex[c & 15];
    }
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

void append_whole(std::string& out, std::int64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

// Number::toString of ECMA-262: the fewest digits that read back as the same number, a point where the
// exponent is from -7 to 20.
void append_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  if (value == 0) {
    out += '0';
    return;
  }
  char text[32];
  const std::string_view shortest(
      text, std::to_chars(text, text + sizeof text, std::fabs(value), std::chars_format::scientific).ptr);
  const std::size_t e = shortest.find('e');
  std::string digits(1, shortest[0]);
  if (e > 2) digits += shortest.substr(2, e - 2);
  int exponent = 0;
  std::from_chars(shortest.data() + e + (shortest[e + 1] == '+' ? 2 : 1), shortest.end(), exponent);

  const int count = static_cast<int>(digits.size());
  if (value < 0) out += '-';
  if (exponent >= 21 || exponent < -6) {
    out += digits[0];
    if (count > 1) out.append(".").append(digits, 1);
    out += exponent < 0 ? "e-" : "e+";
    append_whole(out, std::abs(exponent));
  } else if (exponent < 0) {
    out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0').append(digits);
  } else if (count <= exponent + 1) {
    out.append(digits).append(static_cast<std::size_t>(exponent + 1 - count), '0');
  } else {
    const auto whole = static_cast<std::size_t>(exponent + 1);
    out.append(digits, 0, whole).append(".").append(digits, whole);
  }
}

// `value` with leading zeros.
void append_padded(std::string& out, std::int64_t value, std::size_t width) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const auto length = static_cast<std::size_t>(end - digits);
  if (length < width) out.append(width - length, '0');
  out.append(digits, end);
}

struct Date {
  std::int64_t year;
  std::int64_t month;
  std::int64_t day;
};

// The date so many days after 1970-01-01. `std::chrono::year` ends at 32767, int64 microseconds near the year
// 294247; this is Howard Hinnant's `civil_from_days`.
Date date_of(std::int64_t days) {
  days += 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const std::int64_t day_of_era = days - era * 146097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  const std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day_of_year - (153 * shifted + 2) / 5 + 1};
}

void append_timestamp(std::string& out, std::int64_t micros) {
  constexpr std::int64_t second = 1'000'000;
  constexpr std::int64_t day = 86'400 * second;
  const std::int64_t in_day = (micros % day + day) % day;
  const auto [year, month, day_of_month] = date_of(micros / day - (micros % day < 0 ? 1 : 0));
  out += '"';
  const bool is_far = year < 0 || year > 9999;
  if (is_far) out += year < 0 ? '-' : '+';
  append_padded(out, std::abs(year), is_far ? 6 : 4);
  const std::int64_t parts[] = {month, day_of_month, in_day / (3600 * second), in_day / (60 * second) % 60,
                                in_day / second % 60};
  constexpr char before[] = {'-', '-', 'T', ':', ':'};
  for (std::size_t i = 0; i < 5; ++i) {
    out += before[i];
    append_padded(out, parts[i], 2);
  }
  if (const std::int64_t fraction = in_day % second; fraction != 0) {
    out += '.';
    append_padded(out, fraction, 6);
    while (out.back() == '0') out.pop_back();
  }
  out += "Z\"";
}

void append_base64(std::string& out, std::string_view bytes) {
  constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  out += '"';
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t there = bytes.size() - at < 3 ? bytes.size() - at : 3;
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      word = word << 8 | (i < there ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) out += i <= there ? alphabet[word >> (18 - 6 * i) & 63] : '=';
  }
  out += '"';
}

void append_value(std::string& out, const Column& column, std::size_t row) {
  if (!column.is_valid(row)) {
    out += "null";
    return;
  }
  switch (column.type) {
    case Type::boolean:
      out += column.boolean(row) ? "true" : "false";
      break;
    case Type::int64:
      append_whole(out, column.int64(row));
      break;
    case Type::float64:
      append_number(out, column.float64(row));
      break;
    case Type::string:
      append_string(out, column.text(row));
      break;
    case Type::binary:
      append_base64(out, column.text(row));
      break;
    case Type::timestamp:
      append_timestamp(out, column.int64(row));
      break;
  }
}

}  // namespace

JsonLines::JsonLines(const Schema& schema) {
  for (const Field& field : schema.fields()) {
    std::string key = keys_.empty() ? "{" : ",";
    append_string(key, field.name);
    keys_.push_back(key + ":");
  }
}

void JsonLines::append(const Batch& batch, std::string& out) const {
  const std::string_view end = keys_.empty() ? "{}\n" : "}\n";
  for (std::size_t row = 0; row < batch.rows(); ++row) {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      out += keys_[i];
      append_value(out, batch.columns()[i], row);
    }
    out += end;
  }
}

}  // namespace modular_runtime
