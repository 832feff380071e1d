# SPDX-License-Identifier: MIT
include(GNUInstallDirs)
if(TARGET agentfs)
  install(TARGETS agentfs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET agentfs-sandbox)
  install(TARGETS agentfs-sandbox RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/agentfs)
endif()
