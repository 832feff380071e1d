# SPDX-License-Identifier: MIT
# What `cmake --install` puts where. Nothing names the build directory or DESTDIR: agentfs finds
# its helpers beside itself, and the unit is written for the prefix given at install time.
include(GNUInstallDirs)
if(TARGET agentfs)
  install(TARGETS agentfs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
foreach(helper agentfs-sandbox agentfs-commit agentfs-announce)
  if(TARGET ${helper})
    install(TARGETS ${helper} RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/agentfs)
  endif()
endforeach()
install(PROGRAMS share/mount.agentfs DESTINATION ${CMAKE_INSTALL_SBINDIR})

foreach(section 1 5 7)
  file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/man/*.${section})
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

install(FILES share/completions/agentfs.bash RENAME agentfs
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES share/completions/_agentfs DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES share/completions/agentfs.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)

install(CODE "
  set(AGENTFS_BINARY \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/agentfs\")
  configure_file(\"${CMAKE_SOURCE_DIR}/share/agentfs.service.in\"
                 \"${CMAKE_BINARY_DIR}/agentfs.service\" @ONLY)")
install(FILES ${CMAKE_BINARY_DIR}/agentfs.service DESTINATION lib/systemd/user)
