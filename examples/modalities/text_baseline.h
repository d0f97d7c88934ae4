#pragma once

#include "modalities/baseline.h"

/// TF-IDF (data/text/tfidf.h) of the labelled texts that have a label, and of the test texts.
Baseline tfidf_features(const Datasets& sets);
