# The charting library of the report's page: CHART_JS, its one minified file, which is compiled in.
find_file(CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js /usr/share/nodejs/chart.js/dist)
if(CHART_JS)
  file(READ ${CHART_JS} head LIMIT 100)
  string(REGEX MATCH "Chart\\.js v([0-9.]+)" matched "${head}")
  set(ChartJs_VERSION ${CMAKE_MATCH_1})
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ChartJs REQUIRED_VARS CHART_JS VERSION_VAR ChartJs_VERSION HANDLE_VERSION_RANGE
  REASON_FAILURE_MESSAGE "it is in Debian's libjs-chart.js, which `make setup` installs")
