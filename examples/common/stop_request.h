#pragma once

/// Ctrl-C and the like, noticed between two steps so that nothing is lost. A second Ctrl-C ends the program at once.
class StopRequest {
 public:
  /// Takes SIGINT, SIGTERM and SIGHUP over. One at a time.
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  static bool requested();
  /// The signal that arrived, which counts as seen to from now on; 0: none.
  static int take();
};

/// Thrown where work is left because of a StopRequest.
struct Stopped {};
