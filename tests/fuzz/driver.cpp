// A small coverage-guided fuzzer for compilers without libFuzzer; it takes the few options of
// libFuzzer that `rialto fuzz` uses. Compiled without instrumentation, unlike what it drives.
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerInitialize(int*, char***);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed);
extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* two, std::size_t two_size,
                                                 std::uint8_t* out, std::size_t max_size,
                                                 unsigned seed);

namespace {

using Bytes = std::vector<std::uint8_t>;
using Clock = std::chrono::steady_clock;

// One byte a place in the code, by a hash of its address: how often it was passed, roughly.
constexpr std::size_t kPlaces = 1 << 16;
std::uint8_t passed[kPlaces];
std::uint8_t known[kPlaces];  // one bit a frequency that some input has reached

std::minstd_rand chance;
Bytes current;
std::string artifact_prefix;
unsigned timeout_seconds = 0;  // for one input

// What is new about this run; two bits of news: a new place, or a place passed more often.
bool take_news() {
  bool news = false;
  for (std::size_t at = 0; at < kPlaces; ++at) {
    const unsigned count = passed[at];
    if (count == 0) continue;
    const unsigned level = count < 4 ? count - 1 : count < 8 ? 3 : count < 32 ? 4 : 5;
    const auto bit = static_cast<std::uint8_t>(1u << level);
    news = news || (known[at] & bit) == 0;
    known[at] |= bit;
  }
  std::memset(passed, 0, sizeof passed);
  return news;
}

std::size_t places() {
  std::size_t count = 0;
  for (const std::uint8_t bits : known) count += bits != 0;
  return count;
}

// The input that ends the process is kept; name = its FNV-1a hash.
void keep_current() {
  std::uint64_t hash = 14695981039346656037ull;
  for (const std::uint8_t byte : current) hash = (hash ^ byte) * 1099511628211ull;
  char name[32];
  std::snprintf(name, sizeof name, "crash-%016llx", static_cast<unsigned long long>(hash));
  const std::string path = artifact_prefix + name;
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(current.data()),
             static_cast<std::streamsize>(current.size()));
  std::fprintf(stderr, "Test unit written to %s\n", path.c_str());
}

// Sanitizers are told to abort as well.
void on_abort(int) {
  keep_current();
  std::_Exit(77);
}

void on_alarm(int) {
  std::fprintf(stderr, "ERROR: an input ran for more than %u seconds\n", timeout_seconds);
  keep_current();
  std::_Exit(70);
}

void run(const Bytes& input) {
  current = input;
  alarm(timeout_seconds);
  LLVMFuzzerTestOneInput(current.data(), current.size());
}

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_folder(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> paths;
  if (DIR* open = opendir(folder.c_str())) {
    while (const dirent* entry = readdir(open))
      if (entry->d_name[0] != '.') paths.push_back(folder + "/" + entry->d_name);
    closedir(open);
  }
  return paths;
}

void report(const char* what, std::uint64_t runs, std::size_t corpus, Clock::time_point start) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::fprintf(stderr, "#%llu %s cov: %zu corp: %zu exec/s: %.0f\n",
               static_cast<unsigned long long>(runs), what, places(), corpus,
               seconds > 0 ? static_cast<double>(runs) / seconds : 0.0);
}

struct Options {
  double seconds = 0;
  std::uint64_t runs = ~std::uint64_t{0};
  std::size_t max_size = 4096;
  std::vector<std::string> paths;
};

Options read_options(int count, char** words) {
  Options options;
  for (int at = 1; at < count; ++at) {
    const std::string word = words[at];
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (name == "-max_total_time")
      options.seconds = std::stod(value);
    else if (name == "-runs")
      options.runs = std::stoull(value);
    else if (name == "-max_len")
      options.max_size = std::stoull(value);
    else if (name == "-timeout")
      timeout_seconds = static_cast<unsigned>(std::stoul(value));
    else if (name == "-seed")
      chance.seed(static_cast<unsigned>(std::stoul(value)));
    else if (name == "-artifact_prefix")
      artifact_prefix = value;
    else if (word[0] != '-')
      options.paths.push_back(word);
  }
  return options;
}

void fuzz(const Options& options, std::vector<Bytes> corpus) {
  const auto start = Clock::now();
  std::uint64_t runs = 0;
  for (const Bytes& input : corpus) {
    run(input);
    take_news();
    ++runs;
  }
  report("INITED", runs, corpus.size(), start);
  Bytes input(options.max_size);
  while (runs < options.runs) {
    if (options.seconds > 0 &&
        Clock::now() - start > std::chrono::duration<double>(options.seconds))
      break;
    const Bytes& from = corpus[chance() % corpus.size()];
    input.assign(from.begin(), from.end());
    input.resize(options.max_size);
    std::size_t size = std::min(from.size(), options.max_size);
    if (chance() % 8 == 0) {
      const Bytes& other = corpus[chance() % corpus.size()];
      size = LLVMFuzzerCustomCrossOver(from.data(), from.size(), other.data(), other.size(),
                                       input.data(), options.max_size,
                                       static_cast<unsigned>(chance()));
    } else {
      size = LLVMFuzzerCustomMutator(input.data(), size, options.max_size,
                                     static_cast<unsigned>(chance()));
    }
    input.resize(size);
    run(input);
    ++runs;
    if (take_news()) corpus.push_back(input);
    if (runs % 1'000 == 0) report("pulse", runs, corpus.size(), start);
  }
  report("DONE", runs, corpus.size(), start);
}

}  // namespace

extern "C" void __sanitizer_cov_trace_pc() {
  const auto address = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  std::uint8_t& place = passed[(address * 0x9E3779B97F4A7C15ull >> 40) % kPlaces];
  if (place != 255) ++place;
}

// Overwrites, flips or moves a few bytes.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t) {
  for (unsigned left = 1 + chance() % 3; left > 0 && size > 0; --left) {
    const std::size_t at = chance() % size;
    switch (chance() % 3) {
      case 0:
        data[at] = static_cast<std::uint8_t>(chance());
        break;
      case 1:
        data[at] = static_cast<std::uint8_t>(data[at] ^ 1u << chance() % 8);
        break;
      default:
        data[at] = data[chance() % size];
    }
  }
  return size;
}

int main(int count, char** words) {
  LLVMFuzzerInitialize(&count, &words);
  const Options options = read_options(count, words);
  signal(SIGABRT, on_abort);
  signal(SIGALRM, on_alarm);
  std::vector<Bytes> corpus;
  for (const std::string& path : options.paths) {
    if (!is_folder(path)) {  // an input to try again
      run(read_file(path));
      std::fprintf(stderr, "Executed %s\n", path.c_str());
      continue;
    }
    for (const std::string& file : files_of(path)) corpus.push_back(read_file(file));
  }
  if (!options.paths.empty() && corpus.empty()) return 0;
  if (corpus.empty()) corpus.emplace_back();
  fuzz(options, std::move(corpus));
  return 0;
}
