#pragma once

/// Ctrl-C and the like, noticed between two steps so that nothing is lost. Until it is taken a third Ctrl-C ends the
/// program, from then on the next one.
class StopRequest {
 public:
  /// Takes SIGINT, SIGTERM and SIGHUP over, and SIGPIPE: whoever read the output has gone. One at a time.
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  static bool requested();
  /// Throws Stopped where one was: for what is called within long work.
  static void poll();
  /// The signal that arrived, which counts as seen to from now on; 0: none. Save first what must not be lost.
  static int take();
};

/// Thrown where work is left because of a StopRequest.
struct Stopped {};
